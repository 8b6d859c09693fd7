# Documents for programs.
dist_pkgdata_DATA += doc/quarry-stats.schema.json
