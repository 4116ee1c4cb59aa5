package pgserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// account is the user of the operating system that runs PostgreSQL.
type account struct {
	name     string
	uid, gid int
	drop     bool // the gateway is root and has to become this account in the child
}

// accountsForRoot are the accounts tried, in this order, for a new cluster of a gateway that runs as root. An account of
// its own, nusku, keeps the cluster apart from any other PostgreSQL on the machine.
var accountsForRoot = []string{"nusku", "postgres", "nobody"}

// chooseAccount says who runs the server on the cluster in folder pgdata, which may not exist yet.
func chooseAccount(pgdata string) (account, error) {
	euid := os.Geteuid()
	owner, exists, err := ownerOf(pgdata)
	if err != nil {
		return account{}, err
	}
	switch {
	case euid != 0 && exists && owner != euid:
		return account{}, fmt.Errorf("the cluster in %s belongs to %s, not to %s: start the gateway as that account or as root",
			pgdata, userName(owner), userName(euid))
	case euid != 0:
		return accountByID(euid, false)
	case exists && owner == 0:
		return account{}, fmt.Errorf("the cluster in %s belongs to root, and PostgreSQL refuses to run as root: "+
			"give it to an ordinary account (chown -R postgres %s)", pgdata, pgdata)
	case exists:
		return accountByID(owner, true)
	}
	for _, name := range accountsForRoot {
		if u, err := user.Lookup(name); err == nil {
			return accountOf(u, true)
		}
	}
	return account{}, errors.New("PostgreSQL refuses to run as root, and there is no account nusku, postgres or nobody: " +
		"make one (useradd --system nusku)")
}

// ownerOf says who owns a folder, if it exists.
func ownerOf(dir string) (uid int, exists bool, err error) {
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	if !info.IsDir() {
		return 0, false, fmt.Errorf("%s is not a folder", dir)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false, fmt.Errorf("cannot see who owns %s", dir)
	}
	return int(stat.Uid), true, nil
}

func accountByID(uid int, drop bool) (account, error) {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		// initdb and peer authentication both look the name up and fail without one.
		return account{}, fmt.Errorf("user id %d has no name on this system (no entry in /etc/passwd), which PostgreSQL demands", uid)
	}
	return accountOf(u, drop)
}

func accountOf(u *user.User, drop bool) (account, error) {
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return account{}, fmt.Errorf("user id of %s: %w", u.Username, err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return account{}, fmt.Errorf("group id of %s: %w", u.Username, err)
	}
	return account{name: u.Username, uid: uid, gid: gid, drop: drop}, nil
}

// userName is the account's name for messages, or its number when it has none.
func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

// own hands a file or folder that the gateway has just made to the account.
func (a account) own(path string) error {
	if !a.drop {
		return nil
	}
	return os.Lchown(path, a.uid, a.gid)
}

// credential is what the child process becomes, nil for the gateway's own account. The account's further groups are left
// out on purpose: the server needs none of what they open.
func (a account) credential() *syscall.Credential {
	if !a.drop {
		return nil
	}
	return &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
}
