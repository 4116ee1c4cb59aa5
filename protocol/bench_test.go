package protocol

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// post10 is a message_post of ten messages of about 256 bytes.
func post10() []byte {
	message := `{"body":{"event":"resized","payload":"` + strings.Repeat("x", 180) + `","n":12345,"ok":true},"ttl":300}`
	return []byte(`{"action":"message_post","body":{"queue_name":"bench","messages":[` +
		strings.Repeat(message+",", 9) + message + `]},"headers":{"Client-ID":"3381af92-2b9e-11e3-b191-71861300734c","X-Project-ID":"bench"}}`)
}

func toMessagePack(tb testing.TB, frame []byte) []byte {
	tb.Helper()
	packed, err := Transcode(nil, frame, JSON, MessagePack)
	if err != nil {
		tb.Fatal(err)
	}
	return packed
}

func benchmarkDecode(b *testing.B, frame []byte, codec Codec) {
	lim := DefaultLimits()
	var req Request
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		if err := Decode(frame, codec, Defaults{}, &lim, &req); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodePost10(b *testing.B) { benchmarkDecode(b, post10(), JSON) }

func BenchmarkDecodePost10MessagePack(b *testing.B) {
	benchmarkDecode(b, toMessagePack(b, post10()), MessagePack)
}

func BenchmarkDecodePost1(b *testing.B) {
	benchmarkDecode(b, []byte(`{"action":"message_post","id":17,"body":{"queue_name":"bench","messages":[{"body":"`+
		strings.Repeat("x", 254)+`"}]},"headers":{"Client-ID":"3381af92-2b9e-11e3-b191-71861300734c","X-Project-ID":"bench"}}`), JSON)
}

// The typed pass of the standard library and of another MessagePack library, for comparison. The latter does not check
// what it skips.
type stdFrame struct {
	Action string `msgpack:"action"`
	Body   struct {
		QueueName string `json:"queue_name" msgpack:"queue_name"`
		Messages  []struct {
			Body json.RawMessage    `msgpack:"-"`
			Pack msgpack.RawMessage `json:"-" msgpack:"body"`
			TTL  int                `msgpack:"ttl"`
		} `msgpack:"messages"`
	} `msgpack:"body"`
	Headers map[string]string `msgpack:"headers"`
}

func BenchmarkDecodePost10EncodingJSON(b *testing.B) {
	frame := post10()
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		var f stdFrame
		if err := json.Unmarshal(frame, &f); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodePost10Vmihailenco(b *testing.B) {
	frame := toMessagePack(b, post10())
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		var f stdFrame
		if err := msgpack.Unmarshal(frame, &f); err != nil {
			b.Fatal(err)
		}
	}
}
