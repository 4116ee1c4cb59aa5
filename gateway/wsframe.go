package gateway

import "encoding/binary"

// The opcodes of WebSocket frames (RFC 6455, section 5.2).
const (
	opText   byte = 1
	opBinary byte = 2
	opClose  byte = 8
	opPing   byte = 9
	opPong   byte = 10
)

// finBit marks the last (for the gateway: the only) frame of a message.
const finBit byte = 0x80

// maxWSHeader is the size of the longest header of a frame that is not masked; servers do not mask.
const maxWSHeader = 10

// maxControlPayload is how much a control frame may carry (RFC 6455, section 5.5).
const maxControlPayload = 125

// appendWSHeader appends the header of an unmasked, unfragmented frame with a payload of n bytes.
func appendWSHeader(dst []byte, opcode byte, n int) []byte {
	switch {
	case n <= maxControlPayload:
		return append(dst, finBit|opcode, byte(n))
	case n <= 0xffff:
		return append(dst, finBit|opcode, 126, byte(n>>8), byte(n))
	default:
		dst = append(dst, finBit|opcode, 127)
		return binary.BigEndian.AppendUint64(dst, uint64(n))
	}
}

// sealWSFrame turns a buffer of maxWSHeader spare bytes and a payload into a whole frame, in place: it returns the
// part of buf that is the frame.
func sealWSFrame(buf []byte, opcode byte) []byte {
	var header [maxWSHeader]byte
	h := appendWSHeader(header[:0], opcode, len(buf)-maxWSHeader)
	frame := buf[maxWSHeader-len(h):]
	copy(frame, h)
	return frame
}
