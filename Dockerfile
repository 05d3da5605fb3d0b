# omnireel on processors, with the demo model: docker build -t omnireel .
FROM python:3.13-slim-trixie AS build
ARG TORCH_CPU_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /build
RUN python -m venv /opt/omnireel
COPY requirements.lock torch.lock ./
RUN /opt/omnireel/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements.lock \
    && /opt/omnireel/bin/pip install --no-cache-dir --index-url "$TORCH_CPU_INDEX" -r torch.lock
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN /opt/omnireel/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.13-slim-trixie
RUN useradd --uid 10001 --no-create-home --home-dir /data omnireel \
    && install -d -o omnireel -g omnireel -m 700 /data
COPY --from=build /opt/omnireel /opt/omnireel
ENV PATH=/opt/omnireel/bin:$PATH OMNIREEL_DATA_DIR=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health/ready', timeout=4)"]
ENTRYPOINT ["omnireel"]
CMD ["serve", "--host", "0.0.0.0", "--auth", "keys"]
