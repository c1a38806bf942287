FROM python:3.13-slim
WORKDIR /app
RUN pip install --no-cache-dir uv
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --locked --no-dev --no-install-project
COPY . .
RUN uv sync --locked --no-dev && useradd --system segue
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1
USER segue
CMD ["segue", "--help"]
