package gateway

import (
	"slices"
	"testing"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"github.com/nusku-messaging/nusku/protocol"
)

// TestPagesTellEveryNumber checks, for random pages, that what a subscriber at any cursor is given covers all numbers
// above it exactly once and in order.
func TestPagesTellEveryNumber(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		cfg := quietConfig()
		cfg.ChunkBytes = rapid.SampledFrom([]int{1 << 10, 64 << 10}).Draw(rt, "chunk")
		h := newHub(cfg, nil, zerolog.Nop())
		page, kinds := drawPage(rt)
		enc := encoding(rapid.IntRange(0, encodings-1).Draw(rt, "encoding"))
		var use encodingSet
		use[enc] = true
		chunks := h.chunkPage(testKey, use, page, 0)
		cursor := rapid.Int64Range(0, page.Upto-1).Draw(rt, "cursor")
		sink := newTestSink(t)
		next := cursor
		for next < page.Upto {
			c := find(chunks, next)
			if c == nil || c.first > next+1 {
				rt.Fatalf("no chunk goes on behind %d", next)
			}
			split, data, ok := c.after(enc, next)
			if !ok {
				rt.Fatal("chunk lacks its encoding")
			}
			if split != nil {
				sink.parse(appendGap(nil, enc, "q", *split))
			}
			sink.parse(data)
			next = c.last
		}
		checkTold(rt, sink.got, kinds, cursor)
	})
}

// drawPage makes a page and says for each number what it is: "" a message, else the reason of its gap.
func drawPage(rt *rapid.T) (*protocol.FeedPage, []protocol.GapReason) {
	q := &feedQueue{id: 1, size: rapid.SampledFrom([]int{1, 400}).Draw(rt, "size")}
	page := &protocol.FeedPage{Head: protocol.Head{QueueID: 1}}
	kinds := rapid.SliceOfN(rapid.SampledFrom([]protocol.GapReason{
		"", "", "", protocol.GapExpired, protocol.GapPurged, protocol.GapConsumed,
	}), 1, 40).Draw(rt, "kinds")
	explained := rapid.Bool().Draw(rt, "consumed explained")
	for i, kind := range kinds {
		seq := int64(i + 1)
		page.Upto = seq
		n := len(page.Gaps)
		switch {
		case kind == "":
			page.Messages = append(page.Messages, protocol.Message{Seq: seq, ID: protocol.MessageID{Queue: 1, N: seq}, Body: q.body(seq)})
		case kind == protocol.GapConsumed && !explained:
		case n > 0 && page.Gaps[n-1].To == seq-1 && page.Gaps[n-1].Reason == kind:
			page.Gaps[n-1].To = seq
		default:
			page.Gaps = append(page.Gaps, protocol.Gap{From: seq, To: seq, Reason: kind})
		}
	}
	return page, kinds
}

func checkTold(rt *rapid.T, got []push, kinds []protocol.GapReason, cursor int64) {
	var told []push
	for _, p := range got {
		if p.gap.Reason == "" {
			told = append(told, p)
			continue
		}
		for seq := p.gap.From; seq <= p.gap.To; seq++ {
			told = append(told, push{gap: protocol.Gap{From: seq, To: seq, Reason: p.gap.Reason}})
		}
	}
	var want []push
	for i, kind := range kinds {
		seq := int64(i + 1)
		switch {
		case seq <= cursor:
		case kind == "":
			want = append(want, push{id: 1, seq: seq})
		default:
			want = append(want, push{gap: protocol.Gap{From: seq, To: seq, Reason: kind}})
		}
	}
	if !slices.Equal(told, want) {
		rt.Fatalf("behind %d told %v, want %v", cursor, told, want)
	}
}
