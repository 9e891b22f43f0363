#!/bin/bash
# Removes from the Docker engine what this project made, by label and never by
# name: containers, volumes and networks of tests, demo and bench, and images
# under the tags that image/build.sh gave them. Whatever a user made stays,
# containers and volumes of these images and images derived from them too.
set -euo pipefail

testbed=label=pgbaton.testbed
docker ps -aq --filter "$testbed" | xargs -r docker rm -fv
docker volume ls -q --filter "$testbed" | xargs -r docker volume rm
docker network ls -q --filter "$testbed" | xargs -r docker network rm

# An image inherits the labels of the one that it was built from, so the value
# counts: the tags that the build itself gave.
docker images --filter label=pgbaton.image --format '{{.Repository}}:{{.Tag}}' | while read -r tag; do
	built=$(docker image inspect -f '{{index .Config.Labels "pgbaton.image"}}' "$tag")
	if [[ " $built " == *" $tag "* ]]; then
		docker rmi "$tag" || echo "clean: $tag stays: it is in use" >&2
	fi
done
