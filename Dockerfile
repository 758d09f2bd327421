# The HTTP service with the published models: `docker build -t hf-kexue . && docker run -p 8000:8000 hf-kexue`.
# Another build of torch, such as the much smaller one for CPUs: --build-arg TORCH='torch==2.13.0+cpu --extra-index-url ADDRESS'
FROM python:3.11-slim

WORKDIR /app
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY src src
ARG TORCH
# torch comes first and alone, so that nothing pulls in another build.
RUN pip install --no-cache-dir ${TORCH:-$(grep '^torch==' constraints.txt)} \
    && grep -v '^torch==' constraints.txt > /tmp/constraints.txt \
    && pip install --no-cache-dir ".[serve]" -c /tmp/constraints.txt
COPY model_cards model_cards

RUN useradd --create-home service
USER service
ENV HF_HUB_OFFLINE=1
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD python -c "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=5)"
CMD ["hf-kexue", "serve", "model_cards/dgcnn-qa-zh", "model_cards/dgcnn-triples-zh", "model_cards/rsgan-clothing-64", "--host", "0.0.0.0"]
