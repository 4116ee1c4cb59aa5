package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/nusku-messaging/nusku/protocol"
)

// Listed is a queue on its way into a listing.
type Listed struct {
	protocol.Queue
	// Pool is the pool that has the queue; 0: this one. Metadata of a queue elsewhere are the catalogue's copy.
	Pool int64
}

// sqlQueues looks at up to $6 queues of project $1 with names between $2 and $3, both exclusive, and says which of them
// are to be listed: those whose name, from character $5 on, contains $4. Metadata come with those alone, and with $7.
const sqlQueues = `
SELECT s.name, s.id, s.pool_id, s.kept, CASE WHEN s.kept AND $7::boolean THEN s.metadata ELSE '' END FROM (
    SELECT q.name, q.id, q.pool_id, q.metadata,
        q.removed_at IS NULL AND ($4::text = '' OR position($4::text IN substr(q.name, $5::int)) > 0) AS kept
    FROM queue q WHERE q.project = $1 AND q.name > $2 AND q.name < $3 ORDER BY q.name LIMIT $6::int
) s ORDER BY s.name`

// Queues looked at by one statement of a listing that leaves some out.
const (
	listNames    = 1000
	listMetadata = 100 // their metadata are read, too
)

// Queues returns a page of a project's queues, or topics, by name. The number of queues that it looks at to fill the page
// is bounded only by ctx, but each statement looks at few.
func (s *Store) Queues(ctx context.Context, page protocol.QueuePage) ([]protocol.Queue, error) {
	return s.QueuesWith(ctx, page, nil)
}

// QueuesWith is Queues where fill, unless it is nil, may replace the metadata of queues that are elsewhere by those that
// hold there; they are then what the page's filter looks at.
func (s *Store) QueuesWith(ctx context.Context, page protocol.QueuePage, fill func(context.Context, []Listed)) ([]protocol.Queue, error) {
	l := listing{s: s, page: &page, fill: fill, limit: page.Limit, metadata: true}
	for _, names := range nameRanges(&page) {
		if err := l.list(ctx, names); err != nil {
			return nil, fmt.Errorf("list queues: %w", err)
		}
	}
	return l.queues, nil
}

// nameRange is a range of names, both ends exclusive.
type nameRange struct{ after, before string }

// Names lie below lastName; the first after all topics' names is afterTopics.
const (
	lastName    = "\U0010FFFF"
	afterTopics = "topic;"
)

// nameRanges returns where the names of a page are: those of topics lie between those of other queues.
func nameRanges(page *protocol.QueuePage) []nameRange {
	all := []nameRange{{"", protocol.TopicPrefix}, {afterTopics, lastName}}
	if page.Topics {
		all = []nameRange{{protocol.TopicPrefix, afterTopics}}
	}
	var left []nameRange
	for _, r := range all {
		if r.after = max(r.after, page.Marker); r.after < r.before {
			left = append(left, r)
		}
	}
	return left
}

// listing collects queues.
type listing struct {
	s        *Store
	page     *protocol.QueuePage
	fill     func(context.Context, []Listed)
	limit    int // 0: only count
	metadata bool

	queues []protocol.Queue
	count  int64
}

func (l *listing) full() bool { return l.limit > 0 && len(l.queues) >= l.limit }

// list goes through a range of names until it has enough.
func (l *listing) list(ctx context.Context, names nameRange) error {
	for !l.full() {
		slice := l.slice()
		kept, seen, last, err := l.read(ctx, names, slice)
		if err != nil {
			return err
		}
		if l.fill != nil && len(kept) > 0 {
			l.fill(ctx, kept)
		}
		for i := range kept {
			if !l.full() && hasAttributes(kept[i].Metadata, l.page.Metadata) {
				l.count++
				if l.limit > 0 {
					l.queues = append(l.queues, kept[i].Queue)
				}
			}
		}
		if seen < slice {
			return nil
		}
		names.after = last
	}
	return nil
}

// slice is how many queues the next statement looks at.
func (l *listing) slice() int {
	switch {
	case len(l.page.Metadata) > 0:
		return listMetadata
	case l.page.Name != "" || l.limit == 0:
		return listNames
	}
	return l.limit - len(l.queues)
}

// read looks at a slice. It returns the queues to be listed, how many it looked at, and the last one's name.
func (l *listing) read(ctx context.Context, names nameRange, slice int) (kept []Listed, seen int, last string, err error) {
	from := 1
	if l.page.Topics {
		from += len(protocol.TopicPrefix)
	}
	rows, err := l.s.pool.Query(ctx, sqlQueues, l.page.Project, names.after, names.before, l.page.Name, from, slice, l.metadata)
	if err != nil {
		return nil, 0, "", l.s.classify(err)
	}
	var q Listed
	var pool *int64
	var keep bool
	_, err = pgx.ForEachRow(rows, []any{&last, &q.ID, &pool, &keep, &q.Metadata}, func() error {
		seen++
		if !keep {
			return nil
		}
		q.QueueKey, q.Pool = protocol.QueueKey{Project: l.page.Project, Name: last}, 0
		if pool != nil {
			q.Pool = *pool
		}
		q.Metadata = bytes.Clone(q.Metadata)
		kept = append(kept, q)
		return nil
	})
	return kept, seen, last, l.s.classify(err)
}

// Queues that are being removed are not listed.
const (
	sqlCountQueues  = `SELECT count(*) FROM queue WHERE project = $1 AND name > $2 AND name < $3`
	sqlCountRemoved = `
SELECT count(*) FROM queue WHERE project = $1 AND name > $2 AND name < $3 AND removed_at IS NOT NULL`
)

// CountQueues counts the queues that page's filters keep, whatever its marker and limit.
func (s *Store) CountQueues(ctx context.Context, page protocol.QueuePage) (int64, error) {
	return s.CountQueuesWith(ctx, page, nil)
}

// CountQueuesWith is to CountQueues what QueuesWith is to Queues.
func (s *Store) CountQueuesWith(ctx context.Context, page protocol.QueuePage, fill func(context.Context, []Listed)) (int64, error) {
	page.Marker = ""
	l := listing{s: s, page: &page, metadata: len(page.Metadata) > 0}
	if l.metadata {
		l.fill = fill
	}
	for _, names := range nameRanges(&page) {
		count := l.list
		if page.Name == "" && !l.metadata {
			count = l.countAll
		}
		if err := count(ctx, names); err != nil {
			return 0, fmt.Errorf("count queues: %w", err)
		}
	}
	return l.count, nil
}

// countAll counts the queues in a range of names without looking at them.
func (l *listing) countAll(ctx context.Context, names nameRange) error {
	var all, removed int64
	b := &pgx.Batch{}
	args := []any{l.page.Project, names.after, names.before}
	b.Queue(sqlCountQueues, args...).QueryRow(func(row pgx.Row) error { return row.Scan(&all) })
	b.Queue(sqlCountRemoved, args...).QueryRow(func(row pgx.Row) error { return row.Scan(&removed) })
	if err := l.s.pool.SendBatch(ctx, b).Close(); err != nil {
		return l.s.classify(err)
	}
	l.count += max(0, all-removed)
	return nil
}

// hasAttributes says whether metadata, a JSON object, have all these attributes, with the values that JSON would print
// without quotes.
func hasAttributes(metadata []byte, want map[string]string) bool {
	if len(want) == 0 {
		return true
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(metadata, &fields) != nil {
		return false
	}
	for name, value := range want {
		raw, ok := fields[name]
		if !ok || printed(raw) != value {
			return false
		}
	}
	return true
}

// printed is a JSON value in its shortest form, a string without its quotes.
func printed(raw json.RawMessage) string {
	var text string
	if strings.HasPrefix(string(raw), `"`) && json.Unmarshal(raw, &text) == nil {
		return text
	}
	var short bytes.Buffer
	if json.Compact(&short, raw) != nil {
		return string(raw)
	}
	return short.String()
}
