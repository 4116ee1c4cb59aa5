package main

import (
	"errors"
	"os"

	"github.com/nusku-messaging/nusku/cmd/internal/config"
)

// checkConfigCmd is `nusku check-config`.
type checkConfigCmd struct {
	config.Flags
}

// Help is what --help says below the usage.
func (*checkConfigCmd) Help() string {
	return "Takes the settings of serve, checks them, and shows each with where its value came from, without passwords. " +
		"The exit code is 2 if serve would refuse them."
}

// Run prints the settings, also when something is wrong with them, and then what is wrong.
func (c *checkConfigCmd) Run(g *globals) error {
	cfg, err := config.Load(&c.Flags, os.Environ())
	if cfg != nil {
		if printErr := cfg.Print(g.stdout); printErr != nil {
			return errors.Join(err, printErr)
		}
	}
	if err != nil {
		return usageError{err}
	}
	return nil
}
