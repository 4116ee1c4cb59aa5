package gateway

import (
	"testing"

	"github.com/nusku-messaging/nusku/protocol"
)

// TestPythonJSON compares with what Python 3's json.dumps(json.loads(text)) gives.
func TestPythonJSON(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"a":1,"b":[1,2,{}],"c":{"d":null}}`: `{"a": 1, "b": [1, 2, {}], "c": {"d": null}}`,
		` [ ] `:                               `[]`,
		`[[],[[]],{"":[]}]`:                   `[[], [[]], {"": []}]`,
		`"\u00e9\n\/\"\\\u007f 😀"`:            `"\u00e9\n/\"\\\u007f \ud83d\ude00"`,
		`[1.0,1.50,1e5,1E+2,-0,-0.0,1e16,1e-5,0.0001,123456789012345678901,1e400,-1e400]`: `[1.0, 1.5, 100000.0, 100.0, 0, -0.0, ` +
			`1e+16, 1e-05, 0.0001, 123456789012345678901, Infinity, -Infinity]`,
		`true`: `true`,
		`null`: `null`,
	} {
		if got := string(appendPythonJSON(nil, []byte(in))); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", in, got, want)
		}
	}
}

func TestChecksumIsTheSameInBothCodecs(t *testing.T) {
	t.Parallel()
	text := []byte(`{"event":1,"x":[true,null,1.5,"é"]}`)
	packed, err := protocol.Transcode(nil, text, protocol.JSON, protocol.MessagePack)
	if err != nil {
		t.Fatal(err)
	}
	// hashlib.md5(json.dumps({"event": 1, "x": [True, None, 1.5, "é"]}).encode()).hexdigest()
	const want = "MD5:1d27aa1d881a5ee477b9429c8983e546"
	if got := checksum(protocol.JSON, text); got != want {
		t.Errorf("JSON: %s, want %s", got, want)
	}
	if got := checksum(protocol.MessagePack, packed); got != want {
		t.Errorf("MessagePack: %s, want %s", got, want)
	}
}
