package protocol

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
)

func TestTranscodeSizes(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 15, 16, 17, 255, 256, 65535, 65536, 70000} {
		list := "[" + strings.TrimSuffix(strings.Repeat("1,", n), ",") + "]"
		var b strings.Builder
		b.WriteString(`{"inner":` + list)
		for i := range n {
			b.WriteString(`,"` + strconv.Itoa(i) + `":null`)
		}
		b.WriteString("}")
		packed := toMessagePack(t, []byte(b.String()))
		back, err := Transcode(nil, packed, MessagePack, JSON)
		if err != nil || string(back) != b.String() {
			t.Errorf("%d elements: %v, %d bytes for %d", n, err, len(back), b.Len())
		}
	}
}

func TestTranscodeNumbers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0": "0", "-0": "0", "-0.0": "-0.0", "1.0": "1.0", "1e2": "100.0", "1e21": "1e+21", "1E-7": "1e-07", "5e-324": "5e-324", "1e-999": "0.0",
		"-9223372036854775808": "-9223372036854775808", "18446744073709551615": "18446744073709551615", "127": "127", "-33": "-33",
		"0.1": "0.1", "123456789.125": "123456789.125",
	} {
		back, err := Transcode(nil, toMessagePack(t, []byte(text)), MessagePack, JSON)
		if err != nil || string(back) != want {
			t.Errorf("%s became %s (%v), want %s", text, back, err, want)
		}
	}
	single, err := Transcode(nil, []byte("\xca\x3d\xcc\xcc\xcd"), MessagePack, JSON)
	if err != nil || string(single) != "0.10000000149011612" {
		t.Errorf("a single float became %s (%v)", single, err)
	}
}

func TestTranscodeRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		body string
		from Codec
		path string
	}{
		{`18446744073709551616`, JSON, ""},
		{`{"a":[1,{"b":-9223372036854775809}]}`, JSON, ".a[1].b"},
		{`[0,"\ud800x"]`, JSON, "[1]"},
		{`{"\udc00":1}`, JSON, "[\"�\"]"},
		{`{"x y":1e400}`, JSON, `["x y"]`},
		{"\x92\x01\xc4\x01x", MessagePack, "[1]"},
		{"\x81\xa1k\xc7\x00\x01", MessagePack, ".k"},
		{"\x81\xa1k\x81\xc0\x01", MessagePack, ".k"},
		{"\xcb\xff\xf0\x00\x00\x00\x00\x00\x00", MessagePack, ""},
	}
	for _, test := range tests {
		_, err := Transcode(nil, []byte(test.body), test.from, test.from.other())
		var cause *InexpressibleError
		if !errors.As(err, &cause) || cause.Path != test.path || cause.Error() == "" {
			t.Errorf("%q: %v, path %q", test.body, err, test.path)
		}
	}
	for _, body := range []string{`{`, ``, `1 2`, `nul`} {
		for _, to := range []Codec{JSON, MessagePack} {
			if _, err := Transcode(nil, []byte(body), JSON, to); !errors.Is(err, ErrMalformed) {
				t.Errorf("%q to %s: %v", body, to, err)
			}
		}
	}
	deep := strings.Repeat("[", 2000) + strings.Repeat("]", 2000)
	if _, err := Transcode(nil, []byte(deep), JSON, MessagePack); !errors.Is(err, ErrMalformed) {
		t.Errorf("deep: %v", err)
	}
}

func TestTranscodeSameCodec(t *testing.T) {
	t.Parallel()
	out, err := Transcode([]byte("x"), []byte(` [1] `), JSON, JSON)
	if err != nil || string(out) != "x [1] " {
		t.Errorf("%q, %v", out, err)
	}
}

func TestTranscodeText(t *testing.T) {
	t.Parallel()
	text := `"\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00é😀"`
	back, err := Transcode(nil, toMessagePack(t, []byte(text)), MessagePack, JSON)
	if err != nil {
		t.Fatal(err)
	}
	var want, got string
	if json.Unmarshal([]byte(text), &want) != nil || json.Unmarshal(back, &got) != nil || got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
