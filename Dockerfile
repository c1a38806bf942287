FROM python:3.13 AS compiled
WORKDIR /app
RUN pip install --no-cache-dir uv
COPY . .
RUN uv sync --locked && .venv/bin/python -m runtime.compiled

FROM python:3.13-slim
WORKDIR /app
RUN pip install --no-cache-dir uv
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --locked --no-dev --no-install-project
COPY . .
COPY --from=compiled /app/segue_models__mypyc*.so ./
COPY --from=compiled /app/models models
RUN uv sync --locked --no-dev && useradd --system segue
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1
USER segue
CMD ["segue", "--help"]
