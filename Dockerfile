# syntax=docker/dockerfile:1
# Static binary, no shell, no root. Build: docker build -t jwkswatch .
# Run: docker run -v jwkswatch-state:/var/lib/jwkswatch -v ./jwkswatch.yaml:/etc/jwkswatch/jwkswatch.yaml:ro jwkswatch
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ENV CGO_ENABLED=0
RUN go build -trimpath -ldflags="-s -w -buildid=" -o /out/jwkswatch ./cmd/jwkswatch \
 && install -d -m 0700 -o 65532 -g 65532 /out/state
# CA roots and time zones come from the build image's packages, so that they are as fresh as the build.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates tzdata && rm -rf /var/lib/apt/lists/*

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /usr/share/zoneinfo /usr/share/zoneinfo
COPY --from=build /out/jwkswatch /usr/bin/jwkswatch
COPY --from=build --chown=65532:65532 /out/state /var/lib/jwkswatch
USER 65532:65532
VOLUME ["/var/lib/jwkswatch"]
ENTRYPOINT ["/usr/bin/jwkswatch"]
HEALTHCHECK --interval=30s --timeout=6s --start-period=10s CMD ["/usr/bin/jwkswatch", "healthcheck"]
CMD ["run", "-c", "/etc/jwkswatch/jwkswatch.yaml"]
