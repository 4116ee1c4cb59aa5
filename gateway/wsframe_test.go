package gateway

import (
	"bytes"
	"testing"

	"github.com/nusku-messaging/nusku/protocol"
)

func TestAppendWSHeader(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		n    int
		want []byte
	}{
		{0, []byte{0x81, 0}},
		{125, []byte{0x81, 125}},
		{126, []byte{0x81, 126, 0, 126}},
		{65535, []byte{0x81, 126, 0xff, 0xff}},
		{65536, []byte{0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0}},
	} {
		if got := appendWSHeader(nil, opText, tt.n); !bytes.Equal(got, tt.want) {
			t.Errorf("header for %d bytes: % x, want % x", tt.n, got, tt.want)
		}
		payload := bytes.Repeat([]byte{'x'}, tt.n)
		frame := sealWSFrame(append(make([]byte, maxWSHeader), payload...), opText)
		if want := append(bytes.Clone(tt.want), payload...); !bytes.Equal(frame, want) {
			t.Errorf("sealed frame of %d bytes differs", tt.n)
		}
	}
}

func TestCloseFramesFit(t *testing.T) {
	t.Parallel()
	for _, code := range protocol.CloseCodes() {
		frame := closeFrame(code)
		if len(frame) > 2+maxControlPayload || int(frame[1]) != len(frame)-2 {
			t.Errorf("close frame of %s: % x", code.Name(), frame)
		}
	}
}
