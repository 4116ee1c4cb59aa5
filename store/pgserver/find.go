package pgserver

import (
	"context"
	"path/filepath"
)

// Find says which folder of programs Start would use, and their major version, without starting anything. cfg may lack
// a data folder: then any version from MinMajor on will do. Its errors are Start's.
func Find(ctx context.Context, cfg Config) (binDir string, major int, err error) {
	want := 0
	pgdata := ""
	if cfg.DataDir != "" {
		pgdata = filepath.Join(cfg.DataDir, "postgres")
		if want, err = clusterMajor(pgdata); err != nil {
			return "", 0, err
		}
	}
	acct, err := chooseAccount(pgdata)
	if err != nil {
		return "", 0, err
	}
	bin, err := findBinaries(ctx, cfg, want, acct)
	return bin.dir, bin.major, err
}
