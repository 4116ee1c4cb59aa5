package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// manager is a package manager: what it is called with, in this order, to install PostgreSQL's server.
type manager struct {
	program  string
	commands [][]string
}

var managers = []manager{
	{"apt-get", [][]string{
		{"apt-get", "update", "-q"},
		{"apt-get", "install", "-qy", "--no-install-recommends", "postgresql"},
	}},
	{"dnf", [][]string{{"dnf", "install", "-y", "postgresql-server"}}},
	{"zypper", [][]string{{"zypper", "--non-interactive", "install", "postgresql-server"}}},
	{"apk", [][]string{{"apk", "add", "postgresql"}}},
	{"pacman", [][]string{{"pacman", "-Sy", "--noconfirm", "postgresql"}}},
}

// installPackage installs the distribution's package. Only Debian's starts a server by itself; it is kept from that.
func installPackage(ctx context.Context) error {
	for _, m := range managers {
		if _, err := exec.LookPath(m.program); err != nil {
			continue
		}
		restore, err := withoutMainCluster(m.program)
		if err != nil {
			return err
		}
		for _, args := range m.commands {
			cmd := exec.CommandContext(ctx, args[0], args[1:]...)
			cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
			cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
			if err := cmd.Run(); err != nil {
				return errors.Join(fmt.Errorf("%s: %w", m.program, err), restore())
			}
		}
		return restore()
	}
	return errors.New("no package manager is known here")
}

// withoutMainCluster keeps Debian's package from making a cluster "main" and starting a server on it, for as long as
// ours is being installed: what the machine's owner installs later behaves as ever.
func withoutMainCluster(program string) (restore func() error, err error) {
	if program != "apt-get" {
		return func() error { return nil }, nil
	}
	path := "/etc/postgresql-common/createcluster.d/nusku-install.conf"
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, []byte("create_main_cluster = false\n"), 0o644); err != nil {
		return nil, err
	}
	return func() error {
		err := os.Remove(path)
		_ = os.Remove(filepath.Dir(path)) // unless somebody else's files are in it
		return err
	}, nil
}
