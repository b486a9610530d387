"""uvicorn's protocols with bounds on time, bytes and connections."""
