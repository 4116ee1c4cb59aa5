// Package config holds every setting of a gateway: what it is called, what it may be, where its value came from.
//
// A setting is one line of the table (table.go), which binds a key to a field of a package's own Config, whose
// defaults are that package's. The key is the same everywhere: --max-post on the command line, NUSKU_MAX_POST in the
// environment, max-post in the configuration file (TOML or YAML). The first of these that has it wins, in that order.
// Adding a line to the table adds it to all three, to --help and to `nusku check-config`.
package config
