"""A bucket of its own for a test, on the S3 server of deploy/local."""

import uuid
from datetime import timedelta
from typing import Any

import aiohttp
import obstore
from obstore.store import S3Store

from ragmesh.settings import Settings
from tests.servers import Server

ACCESS: dict[str, Any] = {
    "s3_region": "us-east-1",
    "s3_access_key_id": "ragmesh",
    "s3_secret_access_key": "ragmesh-secret",
    "s3_allow_http": True,
}


async def make_bucket(s3: Server) -> str:
    """A new bucket's name; made by a signed PUT, for obstore makes none."""
    name = f"bucket-{uuid.uuid4()}"
    url = await obstore.sign_async(_whole(s3, name), "PUT", "", timedelta(minutes=1))
    async with aiohttp.ClientSession() as session, session.put(url) as answer:
        assert answer.status == 200, await answer.text()
    return name


def s3_settings(s3: Server, bucket: str) -> Settings:
    return Settings(blobs_url=f"s3://{bucket}/pre/fix", s3_endpoint=s3.url, **ACCESS)


async def everything_in(s3: Server, bucket: str) -> list[str]:
    """Every object, and every part of an upload that was neither completed nor aborted: S3Proxy lists those too."""
    return [entry["path"] for entry in await obstore.list(_whole(s3, bucket)).collect_async()]


def _whole(s3: Server, bucket: str) -> S3Store:
    return S3Store(
        bucket,
        config={
            "endpoint": s3.url,
            "region": ACCESS["s3_region"],
            "access_key_id": ACCESS["s3_access_key_id"],
            "secret_access_key": ACCESS["s3_secret_access_key"],
        },
        client_options={"allow_http": True},
    )
