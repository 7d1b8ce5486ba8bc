"""What each RPC needs of its caller. One that is missing here is refused to everybody."""

from collections.abc import Mapping
from typing import Literal

from ragmesh.access import Scope

Need = Scope | Literal["mesh"]

MESH: Need = "mesh"  # spoken between parts of the mesh: a service token is needed, and no scope

SERVICES: Mapping[str, Mapping[Need, str]] = {
    "DocumentService": {
        Scope.READ: "GetDocument ListDocuments WatchDocument DownloadDocument GetCollection ListCollections",
        Scope.WRITE: "UploadDocument DeleteDocument ReprocessDocument CreateCollection DeleteCollection",
        Scope.ADMIN: "GetIngestStats ListFailedDocuments RetryFailedDocuments",
        MESH: "ResolveDocuments GetReembedding",
    },
    "QueryService": {
        Scope.READ: "Search Answer Chat SuggestQuestions Complete ListChunks Embed Rerank",
    },
    "AdminService": {
        Scope.READ: "ListModels",
        Scope.ADMIN: (
            "GetMesh WatchMesh GetStats GetConfig SetConfig WatchConfig LoadModel UnloadModel"
            " VerifyModel PromoteModel RollbackModel StartReindex GetReindex DropIndex"
            " ListDeadLetters ReplayDeadLetters CreateKey ListKeys RevokeKey"
        ),
    },
    "AccessService": {MESH: "Authenticate"},
    "InstanceService": {MESH: "GetInstance"},
}
NEEDS: Mapping[str, Need] = {
    f"/ragmesh.v1.{service}/{method}": need
    for service, needs in SERVICES.items()
    for need, methods in needs.items()
    for method in methods.split()
}
OPEN = ("/grpc.health.", "/grpc.reflection.")  # they tell nothing of anybody: the contract is public
