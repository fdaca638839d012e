"""Routes that list, download, switch and forget models.

They have the rules of the routes that index: on loopback, or with the token, one run at a time.
Only models of the list can be named, and only a download contacts the hub.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query

from imgsearch.serving.models import forget_model, model_list
from imgsearch.settings import Settings
from imgsearch.web import answers
from imgsearch.web.answers import ForgottenModelAnswer, ModelsAnswer
from imgsearch.web.index_routes import Indexer
from imgsearch.web.parameters import MAX_TEXT_CHARACTERS, ModelParameters
from imgsearch.web.problems import PROBLEMS

ModelName = Annotated[
    str, Query(max_length=MAX_TEXT_CHARACTERS, description="The name of the model, as listed.")
]


def routes(settings: Settings, indexer: Indexer) -> APIRouter:
    """The routes over the models of a library, and its indexer."""
    router = APIRouter(tags=["models"], responses=PROBLEMS)

    @router.get("/models")
    async def list_models() -> ModelsAnswer:
        """The models: which are here, which one is in use, and which have pictures."""
        found = await asyncio.to_thread(model_list, settings)
        running = indexer.state if indexer.running and "model" in indexer.state else None
        return answers.models(found, running)

    @router.post("/models/download", status_code=202)
    async def download_model(parameters: ModelParameters) -> dict[str, Any]:
        """Download a model from the Hugging Face hub and verify it. `GET /index/events` has the
        progress, `DELETE /index` stops it; 409 during a run."""
        await indexer.download(parameters.model)
        return indexer.state

    @router.post("/models/switch", status_code=202)
    async def switch_model(parameters: ModelParameters) -> dict[str, Any]:
        """Encode all pictures with a model; when all are encoded, searches use it. `GET
        /index/events` has the progress. `DELETE /index` stops it, and the same request continues;
        409 during a run."""
        await indexer.switch(parameters.model)
        return indexer.state

    @router.delete("/models")
    async def forget_vectors(model: ModelName) -> ForgottenModelAnswer:
        """Delete the vectors of a model that is not in use from the library. The downloaded model
        stays. 409 during a run."""
        indexer.require_idle()
        count = await asyncio.to_thread(forget_model, settings, model)
        return ForgottenModelAnswer(model=model, vectors=count)

    return router
