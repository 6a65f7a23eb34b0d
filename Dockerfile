# Spikeloom with its FPGA and simulation tools: compile, emit, simulate, verify and build.
#
#   docker build -t spikeloom .
#   docker run --rm -v "$PWD:/data" spikeloom build my.onnx --board ulx3s-85f
#
# Training needs torch, which is larger than all the rest: it is left out unless EXTRAS says so.
FROM debian:bookworm-slim

# Verilator translates a design to C++ with perl, and builds it with make and g++.
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        ca-certificates g++ iverilog make perl python3 python3-venv zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*

ENV PATH=/opt/spikeloom/bin:$PATH \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/spikeloom

# The dependencies stand in a layer of their own, which a change of the sources leaves alone.
ARG EXTRAS=verify,build
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN mkdir -p compiler/passes models rtl sim/cli \
    && pip install -c constraints.txt ".[${EXTRAS}]" \
    && pip uninstall -y spikeloom
COPY compiler compiler
COPY models models
COPY rtl rtl
COPY sim sim
RUN pip install --no-deps . && rm -rf /source

# The tools' WebAssembly is compiled here once, into a folder that any user may read and write.
ENV YOWASP_CACHE_DIR=/var/cache/yowasp
RUN mkdir -p "$YOWASP_CACHE_DIR" \
    && for tool in yosys nextpnr-ecp5 ecppack nextpnr-ice40 icepack; do \
        yowasp-$tool --version >/dev/null 2>&1 </dev/null || true; \
    done \
    && chmod -R a+rwX "$YOWASP_CACHE_DIR"

RUN useradd --create-home spikeloom
USER spikeloom
WORKDIR /data
ENTRYPOINT ["spikeloom"]
CMD ["--help"]
