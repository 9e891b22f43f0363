# One image with several PostgreSQL majors and the supervisor as PID 1.
# make image builds it; README.md lists the arguments.
ARG BASE=debian:trixie-slim

FROM ${BASE} AS packages
ARG MAJORS="15 17 18"
ARG JIT=1
ARG APT_SOURCE=""
COPY image/packages.sh /tmp/packages.sh
RUN MAJORS="$MAJORS" JIT="$JIT" APT_SOURCE="$APT_SOURCE" bash /tmp/packages.sh && rm /tmp/packages.sh

FROM packages
ARG MAJORS
COPY image/docker-*.sh /usr/local/bin/
RUN set -eu; \
    chmod 0755 /usr/local/bin/docker-*.sh; \
    for name in entrypoint notify upgrade; do ln -s pgbaton "/usr/local/bin/$name"; done; \
    mkdir /docker-entrypoint-initdb.d; \
    install -d -o postgres -g postgres -m 3777 /var/run/postgresql; \
    install -d -o postgres -g postgres -m 1777 /var/lib/postgresql /var/lib/postgresql/data; \
    install -d -m 0777 /run/pgbaton; \
    ln -s /run/postgresql/.pgbaton/bin /run/postgresql/.pgbaton/data /run/pgbaton/
LABEL org.opencontainers.image.title="pgbaton" \
      org.opencontainers.image.description="PostgreSQL that is upgraded and handed over inside its container" \
      org.opencontainers.image.source="https://github.com/pgbaton/pgbaton" \
      pgbaton.majors="${MAJORS}"
VOLUME /var/lib/postgresql
EXPOSE 5432 8008
STOPSIGNAL SIGINT
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["pgbaton", "status", "--live"]
ENTRYPOINT ["entrypoint"]
CMD ["postgres"]
# /var/lib/postgresql/data is there so that a fresh volume at it belongs to
# postgres. The links in /run/pgbaton lead where the supervisor keeps its own
# ones when it cannot write there: on a read-only root file system.
# What changes often comes late; after the binary there is only metadata, so
# that the images of every PG_MAJOR share all layers.
ARG PG_MAJOR=18
COPY bin/pgbaton /usr/local/bin/pgbaton
# /run/pgbaton/bin and /run/pgbaton/data are links that the supervisor keeps to
# the programs and the directory of the running major. Before it has made them,
# or without it, the programs of PG_MAJOR are found.
ENV LANG=en_US.utf8 \
    PGDATA=/run/pgbaton/data \
    PG_MAJOR=${PG_MAJOR} \
    PATH=/run/pgbaton/bin:/usr/lib/postgresql/${PG_MAJOR}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LABEL pgbaton.major="${PG_MAJOR}"
