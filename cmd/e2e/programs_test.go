package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nusku-messaging/nusku/protocol/golden"
)

// TestREST plays the record and runs programs that others wrote, one after another: pools belong to the whole gateway.
func TestREST(t *testing.T) {
	t.Parallel()
	g := own(t)
	for _, name := range []string{"zaqar-rest-v2", "nusku-rest"} {
		t.Run(name, func(t *testing.T) {
			exchanges, err := golden.LoadExchanges("../../protocol/testdata/" + name + ".json")
			if err != nil {
				t.Fatal(err)
			}
			pool := "embedded://local/" + strings.ReplaceAll(name, "-", "_")
			golden.PlayHTTP(t, golden.Server{URL: g.http(), PoolURI: pool, ShownPoolURI: pool}, exchanges)
		})
	}
	t.Run("curl", func(t *testing.T) {
		needs(t, "curl", "curl", "--version")
		runProgram(t, "sh", "testdata/curl.sh", g.http(), "embedded://local/curl")
	})
	t.Run("python-zaqarclient", func(t *testing.T) {
		needs(t, "python3-zaqarclient", python, "-c", "import zaqarclient.queues.client")
		runProgram(t, python, "testdata/check_zaqarclient.py", g.http(), "embedded://local/python")
	})
	t.Run("openstack messaging", func(t *testing.T) {
		needs(t, "python3-openstackclient", python, "-c", "import openstackclient.shell, zaqarclient.queues.cli")
		runProgram(t, python, "testdata/check_openstack.py", g.http(), "embedded://local/openstack")
	})
}

// python is Debian's, which finds the packages of Debian.
const python = "/usr/bin/python3"

// needs skips the test where a package of Debian is missing; make test, run by root, installs it. In CI it has to be
// there.
func needs(t *testing.T, pkg string, probe ...string) {
	t.Helper()
	out, err := exec.CommandContext(within(t), probe[0], probe[1:]...).CombinedOutput()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("%s is missing, and CI has to run this: %v\n%s", pkg, err, out)
	default:
		t.Skipf("NOT RUN: %s is not installed (apt-get install %s): %v", pkg, pkg, err)
	}
}

// runProgram runs a program of another's making, which says by its status whether all went well.
func runProgram(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(within(t), name, args...)
	home := t.TempDir() // whatever its user has configured is not of interest
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "OS_") })
	cmd.Env = append(env, "HOME="+home, "XDG_CONFIG_HOME="+filepath.Join(home, ".config"), "NO_PROXY=*", "no_proxy=*")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	t.Logf("%s", out)
}
