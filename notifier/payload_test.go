package notifier

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

var allowHint = cmp.AllowUnexported(hint{})

var someOrigin = uuid.MustParse("6a1f3f0e-95b1-4b52-9c3e-0123456789ab")

func TestPayloadRoundTrip(t *testing.T) {
	t.Parallel()
	hints := []hint{
		{kind: kindHello},
		{kind: kindEverything},
		{kind: kindWake, queueID: 1, n: 1<<63 - 1},
		{kind: kindReleased, queueID: 1 << 62, n: 0},
		{kind: kindChanged, queueID: 7, key: protocol.QueueKey{Project: "a b:c\n\"é%", Name: "q.1_-"}},
		{kind: kindChanged, queueID: 8},
		{kind: kindSubscriptions, key: protocol.QueueKey{Project: "a b:c", Name: "q.1_-"}},
	}
	payloads := pack(someOrigin, hints, maxPayload)
	if len(payloads) != 1 {
		t.Fatalf("packed into %d payloads, want 1", len(payloads))
	}
	if i := strings.IndexFunc(payloads[0], func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
		t.Errorf("payload is not printable ASCII: %q", payloads[0])
	}
	origin, got, err := parse(payloads[0])
	if err != nil || origin != someOrigin {
		t.Fatalf("parse: origin %v, error %v", origin, err)
	}
	if diff := cmp.Diff(hints, got, allowHint); diff != "" {
		t.Error(diff)
	}
}

func TestPackFillsPayloads(t *testing.T) {
	t.Parallel()
	var hints []hint
	for i := range int64(5000) {
		hints = append(hints, hint{kind: kindWake, queueID: i + 1, n: i * i})
	}
	payloads := pack(someOrigin, hints, maxPayload)
	var got []hint
	total := 0
	for _, payload := range payloads {
		if len(payload) > maxPayload {
			t.Errorf("payload of %d bytes", len(payload))
		}
		total += len(payload)
		_, part, err := parse(payload)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, part...)
	}
	if diff := cmp.Diff(hints, got, allowHint); diff != "" {
		t.Error(diff)
	}
	if fewest := (total + maxPayload - 1) / maxPayload; len(payloads) > fewest+1 {
		t.Errorf("%d payloads for %d bytes", len(payloads), total)
	}
}

func TestPackTooLongHint(t *testing.T) {
	t.Parallel()
	long := hint{kind: kindChanged, queueID: 1, key: protocol.QueueKey{Project: strings.Repeat("é", 2000), Name: "q"}}
	payloads := pack(someOrigin, []hint{{kind: kindHello}, long}, maxPayload)
	if len(payloads) != 1 {
		t.Fatalf("%d payloads, want 1", len(payloads))
	}
	_, hints, err := parse(payloads[0])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]hint{{kind: kindHello}, {kind: kindEverything}}, hints, allowHint); diff != "" {
		t.Error(diff)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	header := string(appendHeader(nil, someOrigin))
	for _, payload := range []string{
		"",
		"n2",
		"n1" + header[2:] + " h",
		"hello world",
		header,
		header + " ",
		header + "  h",
		header + " h ",
		header + " hh",
		header + " x1:2",
		header + " w",
		header + " w1",
		header + " w1:",
		header + " w-1:2",
		header + " w1:2:3",
		header + " wzzzzzzzzzzzzzzzz:1",
		header + " c1:p",
		header + " c1:%zz:q",
		"n2 short h",
	} {
		if _, hints, err := parse(payload); !errors.Is(err, errPayload) || hints != nil {
			t.Errorf("parse(%q) = %v, %v", payload, hints, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, payload := range pack(someOrigin, []hint{
		{kind: kindHello}, {kind: kindEverything}, {kind: kindWake, queueID: 71, n: 3},
		{kind: kindReleased, queueID: 71, n: 3}, {kind: kindChanged, queueID: 5, key: protocol.QueueKey{Project: "é:", Name: "q"}},
	}, maxPayload) {
		f.Add(payload)
	}
	f.Add("n2 AAAAAAAAAAAAAAAAAAAAAA w+1:0")
	f.Fuzz(func(t *testing.T, payload string) {
		origin, hints, err := parse(payload)
		if err != nil {
			if hints != nil || !errors.Is(err, errPayload) {
				t.Fatalf("parse returned %v with error %v", hints, err)
			}
			return
		}
		// What was understood survives another trip.
		var again []hint
		for _, p := range pack(origin, hints, maxPayload) {
			o, part, err := parse(p)
			if err != nil || o != origin {
				t.Fatalf("parse(%q): origin %v, error %v", p, o, err)
			}
			again = append(again, part...)
		}
		if len(payload) < maxPayload/3 { // short enough that escaping makes no hint too long
			if diff := cmp.Diff(hints, again, allowHint); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}
