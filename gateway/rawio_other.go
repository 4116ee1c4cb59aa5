//go:build !unix

package gateway

import "net"

func (r *rawIO) open(net.Conn) {}

func (r *rawIO) usable() bool { return false }

func (r *rawIO) read([]byte) (int, error) { panic("gateway: no raw sockets here") }

func (r *rawIO) readPooled() (*buffer, error) { panic("gateway: no raw sockets here") }

func (r *rawIO) tryWrite([]byte) int { return 0 }
