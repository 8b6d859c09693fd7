#!/bin/sh
# A program that releases what it retains is told nothing, whatever it does with its buffers; nor is one when tracking is off.
# shellcheck source-path=SCRIPTDIR source=track.sh disable=SC1091,SC2154 # program and folder are set there
set -eu
. "$(dirname "$0")/track.sh"

for mode in sites full; do
    run QUARRY_OPTIONS=buf_track:$mode "$program" behave
    says 0
    run QUARRY_OPTIONS=buf_track:$mode "$program" crowd
    says 0
    run QUARRY_OPTIONS=buf_track:$mode "$program" inherit
    says 0
    run QUARRY_OPTIONS=buf_track:$mode "$program" move
    says 0
    run QUARRY_OPTIONS=buf_track:$mode "$program" fork-clone
    says 0
done
run QUARRY_OPTIONS=buf_track:off "$program" clones
says 0
run "$program" clones
says 0
run QUARRY_OPTIONS=buf_track:sometimes "$program" clones
says 1 "buf_track.*off, sites or full"
