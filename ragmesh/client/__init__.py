"""The SDK: everything that the mesh does, over gRPC.

    async with Client() as client:                       # the mesh of this machine, or of the profile in use
        document = await client.add("handbook.pdf", wait=True)
        async for event in client.answer("How long is data kept?"):
            if event.token:
                print(event.token.text, end="")

    with SyncClient("consul://consul:8500") as client:   # the same without async, at a mesh that is named
        print(client.ask("How long is data kept?").text)

Methods raise `ragmesh.errors`, in the middle of a stream too. A call that is safe to repeat is repeated when a part
is away or has too much to do, within its deadline; nothing is repeated once an answer has begun. Leaving a stream
early ends its call: at once with `contextlib.aclosing`, else when Python collects the iterator.
"""

from ragmesh.client.answers import Answer, AnswerOptions, Sampling
from ragmesh.client.chat import Chat
from ragmesh.client.client import Client
from ragmesh.client.sync import SyncChat, SyncClient
from ragmesh.client.transfer import PIECE_BYTES

__all__ = ["PIECE_BYTES", "Answer", "AnswerOptions", "Chat", "Client", "Sampling", "SyncChat", "SyncClient"]
