package store

import (
	"net"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// alive says whether the server still holds an idle connection. A write on one that it has closed would have an unknown
// outcome over TCP, where the write succeeds. It costs one system call and does not wait.
func alive(c *pgconn.PgConn) bool {
	conn := c.Conn()
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = t.NetConn() // below TLS
	}
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	silent := false
	if err := raw.Control(func(fd uintptr) { silent = nothingToRead(fd) }); err != nil {
		return false
	}
	// What an idle server has to say is its farewell, or the change of a setting: reconnecting is right either way.
	return silent
}
