package store

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol"
)

// messageColumns are the columns that every statement which answers with messages returns, in the order that
// messageRow reads. The table's alias is m.
const messageColumns = `m.seq, m.inbox_id, m.created_at, now(), m.ttl, m.claim_count, m.claim_expires_at,
	m.codec, m.client_id, m.origin, m.body`

// messageColumnCount is the number of messageColumns.
const messageColumnCount = 11

// PostgreSQL's binary timestamptz counts microseconds from 2000-01-01; its extremes are the infinities.
const (
	pgEpochMicros = 946684800 * 1_000_000
	pgInfinity    = math.MaxInt64
)

// readMessage decodes messageColumns from a row in binary format. Body and origin are copied into mem, so the
// message outlives the row. ClaimID is left empty. Scanning by hand instead of through pgx's reflection is what
// keeps a claim of a thousand rows cheap.
func readMessage(raw [][]byte, queueID int64, mem *arena) (protocol.Message, error) {
	var m protocol.Message
	if len(raw) < messageColumnCount {
		return m, fmt.Errorf("message row of %d columns", len(raw))
	}
	created, now := pgInt64(raw[2]), pgInt64(raw[3])
	m.Seq = pgInt64(raw[0])
	m.ID = protocol.MessageID{Queue: queueID, N: m.Seq}
	if raw[1] != nil {
		m.ID.N, m.ID.Inbox = pgInt64(raw[1]), true
	}
	m.Created = pgTime(created)
	m.Age = ageSeconds(created, now)
	m.TTL = pgInt32(raw[4])
	m.ClaimCount = pgInt32(raw[5])
	// The count in the row includes the claim that holds the message now; the wire's does not.
	if until := pgInt64(raw[6]); until > now && until != pgInfinity && m.ClaimCount > 0 {
		m.ClaimCount--
	}
	m.Codec = protocol.Codec(binary.BigEndian.Uint16(raw[7]))
	if raw[8] != nil {
		m.ClientID = uuid.UUID(raw[8])
	}
	if raw[9] != nil {
		m.Origin = mem.copy(raw[9])
	}
	m.Body = mem.copy(raw[10])
	return m, nil
}

func pgInt64(b []byte) int64 { return int64(binary.BigEndian.Uint64(b)) }

func pgInt32(b []byte) int32 { return int32(binary.BigEndian.Uint32(b)) }

// pgTime turns a finite binary timestamptz into a time.
func pgTime(micros int64) time.Time { return time.UnixMicro(micros + pgEpochMicros).UTC() }

// ageSeconds is the whole seconds from one binary timestamptz to another, never less than 0.
func ageSeconds(from, to int64) int32 {
	return int32(min(max(0, (to-from)/1_000_000), math.MaxInt32))
}

// arena hands out copies of byte strings from few allocations. The copies of one arena share memory: keeping
// one keeps its chunk.
type arena struct {
	free []byte
}

// arenaChunk balances allocations per message against memory that a single kept body can pin.
const arenaChunk = 16 << 10

// copy returns a copy of b, never nil, that cannot grow into its neighbour.
func (a *arena) copy(b []byte) []byte {
	if len(b) > arenaChunk/4 {
		return append(make([]byte, 0, len(b)), b...)
	}
	if len(b) > len(a.free) {
		a.free = make([]byte, arenaChunk)
	}
	out := a.free[:len(b):len(b)]
	a.free = a.free[len(b):]
	copy(out, b)
	return out
}
