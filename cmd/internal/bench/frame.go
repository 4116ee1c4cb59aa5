package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The opcodes of RFC 6455, section 5.2.
const (
	opText   = 0x1
	opBinary = 0x2
	opClose  = 0x8
	opPing   = 0x9
	opPong   = 0xA
)

var errFragmented = errors.New("the gateway sent a fragmented frame")

// appendFrame appends a client's frame. Clients have to mask (section 5.3), but the key is theirs to choose: with four
// zero bytes the payload stays as it is.
func appendFrame(dst []byte, opcode byte, payload []byte) []byte {
	const fin, masked = 0x80, 0x80
	dst = append(dst, fin|opcode)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, masked|byte(n))
	case n < 1<<16:
		dst = append(dst, masked|126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	default:
		dst = append(dst, masked|127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(n))
	}
	dst = append(dst, 0, 0, 0, 0)
	return append(dst, payload...)
}

// parseFrame reads a server's frame from the start of b. size is how many bytes it took, 0 if b does not hold all of it.
func parseFrame(b []byte) (opcode byte, payload []byte, size int, err error) {
	if len(b) < 2 {
		return 0, nil, 0, nil
	}
	if b[0]&0x80 == 0 {
		return 0, nil, 0, errFragmented
	}
	header, n := 2, int(b[1])
	switch {
	case n == 126 && len(b) >= 4:
		header, n = 4, int(binary.BigEndian.Uint16(b[2:]))
	case n == 127 && len(b) >= 10:
		header, n = 10, int(binary.BigEndian.Uint64(b[2:]))
	case n == 126 || n == 127:
		return 0, nil, 0, nil
	case n > 127:
		return 0, nil, 0, errors.New("the gateway sent a masked frame")
	}
	if n < 0 || n > 1<<30 {
		return 0, nil, 0, fmt.Errorf("the gateway sent a frame of %d bytes", n)
	}
	if len(b) < header+n {
		return 0, nil, 0, nil
	}
	return b[0] & 0x0f, b[header : header+n], header + n, nil
}

// closeError is the gateway's close frame as an error.
func closeError(payload []byte) error {
	if len(payload) < 2 {
		return errors.New("the gateway closed the session without a code")
	}
	return fmt.Errorf("the gateway closed the session: %d %s", binary.BigEndian.Uint16(payload), payload[2:])
}
