package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// flushConn is the flusher's own connection. Only deadline may be called from other goroutines.
type flushConn struct {
	pg         *pgconn.PgConn
	statements map[string]*pgconn.StatementDescription
	enc        encoder
	sent       []sent
	warned     *pgconn.Notice
}

// sent is a statement under way; part is nil where it serves all.
type sent struct {
	part *part
	read func(*flushConn, sent, []*part, *pgconn.ResultReader) error
}

// outcome says what became of a transaction.
type outcome uint8

const (
	committed outcome = iota
	refused           // the server said no: nothing was stored
	notSent           // the server never got all of it: nothing was stored
	unknown
)

// result is an outcome with its reason. For refused, err is a *pgconn.PgError, and culprit the part whose statement
// failed, if that is known.
type result struct {
	outcome outcome
	err     error
	culprit *part
}

// connectFlusher makes a connection that is ready to flush.
func (s *Store) connectFlusher(ctx context.Context, config *pgconn.Config) (*flushConn, error) {
	c := &flushConn{statements: make(map[string]*pgconn.StatementDescription)}
	config = config.Copy()
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if n.SeverityUnlocalized == "WARNING" {
			c.warned = n
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout)
	defer cancel()
	pg, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	c.pg = pg
	if err := s.checkIdentity(ctx, pg); err != nil {
		c.close()
		return nil, err
	}
	for name, sql := range flushStatements {
		sd, err := pg.Prepare(ctx, name, sql, nil)
		if err != nil {
			c.close()
			return nil, fmt.Errorf("prepare %s: %w", name, err)
		}
		c.statements[name] = sd
	}
	return c, nil
}

func (c *flushConn) close() {
	// The caller's context may be over, and a lost connection must not hold it up: a short time of its own.
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_ = c.pg.Close(ctx) // there is nothing to be done about it
}

// deadline is when reads and writes of the connection fail.
func (c *flushConn) deadline(t time.Time) { _ = c.pg.Conn().SetDeadline(t) }

func (c *flushConn) broken() bool { return c.pg.IsClosed() }

// send stores parts, sorted by queue id, in one transaction.
func (c *flushConn) send(parts []*part, oneByOne bool) result {
	if !alive(c.pg) {
		c.close()
		return result{outcome: notSent, err: errors.New("the server closed the connection")}
	}
	c.warned = nil
	c.sent = c.sent[:0]
	for _, pt := range parts {
		pt.found, pt.base, pt.inboxIDs = true, 0, pt.inboxIDs[:0]
	}
	// Background: the time is bounded by the connection's deadline, which costs nothing per flush.
	pl := c.pg.StartPipeline(context.Background())
	if oneByOne {
		c.sendOneByOne(pl, parts)
	} else {
		c.sendTogether(pl, parts)
	}
	// The Sync, which commits, is the last thing written: if writing fails, the server cannot have got it.
	if err := pl.Sync(); err != nil {
		_ = pl.Close()
		return result{outcome: notSent, err: err}
	}
	res := c.receive(pl, parts)
	if err := pl.Close(); err != nil && res.outcome == committed {
		return result{outcome: unknown, err: err}
	}
	if c.warned != nil && res.outcome == committed {
		// Waiting for a synchronous standby was given up: stored here, but perhaps nowhere else.
		return result{outcome: unknown, err: (*pgconn.PgError)(c.warned)}
	}
	return res
}

func (c *flushConn) queue(pl *pgconn.Pipeline, name string, values [][]byte, st sent) {
	pl.SendQueryStatement(c.statements[name], values, binaryFormat, binaryFormat)
	c.sent = append(c.sent, st)
}

// binaryFormat asks for binary parameters and results throughout.
var binaryFormat = []int16{1}

func (c *flushConn) sendOneByOne(pl *pgconn.Pipeline, parts []*part) {
	for _, pt := range parts {
		if pt.numbered > 0 {
			c.queue(pl, "post_one", c.enc.postOne(pt), sent{pt, (*flushConn).readBases})
		}
		if pt.delayed > 0 {
			c.queue(pl, "delay_one", c.enc.delayOne(pt), sent{pt, (*flushConn).readInboxIDs})
		}
	}
}

func (c *flushConn) sendTogether(pl *pgconn.Pipeline, parts []*part) {
	var numbered, delayed bool
	for _, pt := range parts {
		numbered = numbered || pt.numbered > 0
		delayed = delayed || pt.delayed > 0
	}
	c.queue(pl, "lock_many", c.enc.lockMany(parts), sent{nil, (*flushConn).readNothing})
	if numbered {
		c.queue(pl, "post_many", c.enc.postMany(parts), sent{nil, (*flushConn).readBases})
	}
	if delayed {
		c.queue(pl, "delay_many", c.enc.delayMany(parts), sent{nil, (*flushConn).readInboxIDs})
	}
}

// receive reads what the server says to the pipeline, up to the Sync's ReadyForQuery: only that means committed.
func (c *flushConn) receive(pl *pgconn.Pipeline, parts []*part) result {
	for _, st := range c.sent {
		if err := c.receiveOne(pl, st, parts); err != nil {
			return failed(err, st.part, true)
		}
	}
	res, err := pl.GetResults()
	if err != nil {
		return failed(err, nil, false)
	}
	if _, ok := res.(*pgconn.PipelineSync); !ok {
		return result{outcome: unknown, err: errors.New("the flush was not concluded")}
	}
	return result{outcome: committed}
}

// receiveOne reads one statement's answer. Errors that are not the server's leave the outcome open.
func (c *flushConn) receiveOne(pl *pgconn.Pipeline, st sent, parts []*part) error {
	res, err := pl.GetResults()
	if err != nil {
		return err
	}
	rr, ok := res.(*pgconn.ResultReader)
	if !ok {
		return fmt.Errorf("the server answered with %T", res)
	}
	readErr := st.read(c, st, parts, rr)
	if _, err := rr.Close(); err != nil {
		return err
	}
	return readErr
}

// failed tells what an error means for the transaction. beforeSync says that the server had not got to the Sync, so
// that even its farewell means that nothing was stored.
func failed(err error, culprit *part, beforeSync bool) result {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && (beforeSync || !fatal(pgErr)) {
		return result{outcome: refused, err: err, culprit: culprit}
	}
	return result{outcome: unknown, err: err}
}

var errBadAnswer = errors.New("the database stored another number of messages than it was sent")

func (c *flushConn) readNothing(_ sent, _ []*part, rr *pgconn.ResultReader) error {
	for rr.NextRow() {
	}
	return nil
}

// readBases reads queue, first number and how many were stored in all. Queues without a row are gone.
func (c *flushConn) readBases(st sent, parts []*part, rr *pgconn.ResultReader) error {
	of := partsOf(st, parts)
	var want, stored int64
	for _, pt := range of {
		pt.found = pt.found && pt.numbered == 0
	}
	for rr.NextRow() {
		row := rr.Values()
		pt := partOf(of, pgInt64(row[0]))
		if pt == nil {
			return errBadAnswer
		}
		pt.found, pt.base = true, pgInt64(row[1])
		want += int64(pt.numbered)
		stored = pgInt64(row[2])
	}
	if stored != want {
		return errBadAnswer
	}
	return nil
}

// readInboxIDs reads queue and ids. Queues without a row are gone.
func (c *flushConn) readInboxIDs(st sent, parts []*part, rr *pgconn.ResultReader) error {
	of := partsOf(st, parts)
	for rr.NextRow() {
		row := rr.Values()
		pt := partOf(of, pgInt64(row[0]))
		if pt == nil {
			return errBadAnswer
		}
		var err error
		if pt.inboxIDs, err = appendInt8Array(pt.inboxIDs, row[1]); err != nil {
			return err
		}
	}
	for _, pt := range of {
		if pt.delayed > 0 && len(pt.inboxIDs) != pt.delayed {
			if len(pt.inboxIDs) > 0 {
				return errBadAnswer
			}
			pt.found = false
		}
	}
	return nil
}

func partsOf(st sent, parts []*part) []*part {
	if st.part != nil {
		return []*part{st.part}
	}
	return parts
}

// partOf finds a queue's part among parts, which are sorted by queue id.
func partOf(parts []*part, id int64) *part {
	i, ok := slices.BinarySearchFunc(parts, id, func(pt *part, id int64) int { return cmp.Compare(pt.info.id, id) })
	if !ok {
		return nil
	}
	return parts[i]
}

// appendInt8Array appends the elements of a binary bigint array.
func appendInt8Array(dst []int64, b []byte) ([]int64, error) {
	if len(b) < arrayHeader || (len(b)-arrayHeader)%12 != 0 {
		return dst, fmt.Errorf("array of %d bytes: %w", len(b), errBadAnswer)
	}
	for b = b[arrayHeader:]; len(b) > 0; b = b[12:] {
		dst = append(dst, pgInt64(b[4:]))
	}
	return dst, nil
}
