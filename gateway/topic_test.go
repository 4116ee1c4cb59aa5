package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nusku-messaging/nusku/protocol"
)

// queueBackend keeps queues in memory.
type queueBackend struct {
	*sessionBackend
	mu     sync.Mutex
	queues map[string]protocol.Queue
}

func newQueueBackend() *queueBackend {
	return &queueBackend{sessionBackend: newSessionBackend(), queues: map[string]protocol.Queue{}}
}

func (b *queueBackend) CreateQueue(_ context.Context, key protocol.QueueKey, metadata []byte) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.queues[key.Name]; ok {
		return false, nil
	}
	if metadata == nil {
		metadata = []byte(`{}`)
	}
	b.queues[key.Name] = protocol.Queue{QueueKey: key, Metadata: slices.Clone(metadata)}
	return true, nil
}

func (b *queueBackend) Queue(_ context.Context, key protocol.QueueKey) (*protocol.Queue, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q, ok := b.queues[key.Name]
	if !ok {
		return nil, protocol.ErrNoQueue
	}
	return &q, nil
}

func (b *queueBackend) UpdateQueue(_ context.Context, key protocol.QueueKey, update func([]byte) ([]byte, error)) (*protocol.Queue, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q, ok := b.queues[key.Name]
	if !ok {
		return nil, fmt.Errorf("update queue: %w", protocol.ErrNoQueue)
	}
	metadata, err := update(q.Metadata)
	if err != nil {
		return nil, err
	}
	q.Metadata = slices.Clone(metadata)
	b.queues[key.Name] = q
	return &q, nil
}

func (b *queueBackend) DeleteQueue(_ context.Context, key protocol.QueueKey) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.queues[key.Name]; !ok {
		return protocol.ErrNoQueue
	}
	delete(b.queues, key.Name)
	return nil
}

func (b *queueBackend) PurgeQueue(context.Context, protocol.QueueKey, bool, bool) error { return nil }

func (b *queueBackend) QueueStats(context.Context, protocol.QueueKey) (protocol.QueueStats, error) {
	return protocol.QueueStats{Free: 1, Total: 1}, nil
}

// all are the queues that a page's filters keep.
func (b *queueBackend) all(page protocol.QueuePage) []protocol.Queue {
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := map[string]protocol.Queue{}
	for name, q := range b.queues {
		if q.IsTopic() == page.Topics && strings.Contains(q.ShownName(), page.Name) {
			kept[name] = q
		}
	}
	return pageOf(kept, "", len(kept))
}

func (b *queueBackend) Queues(_ context.Context, page protocol.QueuePage) ([]protocol.Queue, error) {
	queues := b.all(page)
	queues = slices.DeleteFunc(queues, func(q protocol.Queue) bool { return q.Name <= page.Marker })
	return queues[:min(page.Limit, len(queues))], nil
}

func (b *queueBackend) CountQueues(_ context.Context, page protocol.QueuePage) (int64, error) {
	return int64(len(b.all(page))), nil
}

// reservedRest is what REST adds to the metadata of a queue that sets none of the reserved attributes.
const reservedRest = `"_max_messages_post_size":262144,"_default_message_ttl":3600,"_default_message_delay":0,"_dead_letter_queue":null,` +
	`"_dead_letter_queue_messages_ttl":null,"_max_claim_count":null,"_enable_encrypt_messages":false}`

// TestTopics: topics are like queues, and not among them.
func TestTopics(t *testing.T) {
	t.Parallel()
	b := newQueueBackend()
	patch := map[string]string{"Content-Type": patchType}
	checkAll(t, b, []bothWays{
		{name: "create", request: "PUT /v2/topics/t", body: `{"a":1}`, status: 201, got: map[string]string{"Location": "/v2/topics/t"},
			action: "topic_create", frame: `{"topic_name":"u"}`, replyStatus: 201, reply: `"Topic u created."`},
		{name: "create, existing", request: "PUT /v2/topics/t", status: 204, got: map[string]string{"Location": "/v2/topics/t"},
			action: "topic_create", frame: `{"topic_name":"u"}`, replyStatus: 204, reply: `"Topic u created."`},
		{name: "a queue of that name", request: "PUT /v2/queues/t", status: 201, got: map[string]string{"Location": "/v2/queues/t"}},
		{name: "no name for a queue", request: "GET /v2/queues/topic:t", status: 400,
			response: `{"title":"Invalid queue identification","description":"The format of the submitted queue name or project id is not valid."}`},
		{name: "get", request: "GET /v2/topics/t", status: 200, response: `{"a":1,` + reservedRest,
			action: "topic_get", frame: `{"topic_name":"t"}`, replyStatus: 200, reply: `{"a":1}`},
		{name: "list", request: "GET /v2/topics?limit=1&with_count=true", status: 200,
			response: `{"topics":[{"name":"t","href":"/v2/topics/t"}],"links":[{"rel":"next","href":"/v2/topics?limit=1&with_count=true&marker=t"}],"count":2}`,
			action:   "topic_list", frame: `{"marker":"t","detailed":true,"with_count":true}`, replyStatus: 200,
			reply: `{"count":2,"topics":[{"name":"u","metadata":{}}]}`},
		{name: "list, marker", request: "GET /v2/topics?marker=t&detailed=true", status: 200,
			response: `{"topics":[{"name":"u","metadata":{` + reservedRest + `,"href":"/v2/topics/u"}],` +
				`"links":[{"rel":"next","href":"/v2/topics?marker=u&detailed=true"}]}`},
		{name: "the list of queues", request: "GET /v2/queues", status: 200,
			response: `{"queues":[{"name":"t","href":"/v2/queues/t"}],"links":[{"rel":"next","href":"/v2/queues?marker=t"}]}`,
			action:   "queue_list", frame: `{}`, replyStatus: 200, reply: `{"queues":[{"name":"t"}]}`},
		{name: "update", request: "PATCH /v2/topics/t", headers: patch, body: `[{"op":"replace","path":"/metadata/a","value":2}]`, status: 200,
			response: `{"a":2,` + reservedRest,
			action:   "topic_update", frame: `{"topic_name":"u","patch":[{"op":"add","path":"/metadata/b","value":3}]}`, replyStatus: 200, reply: `{"b":3}`},
		{name: "update, missing", request: "PATCH /v2/topics/nope", headers: patch, body: `[{"op":"add","path":"/metadata/a","value":2}]`, status: 404,
			response: `{"title":"Not found","description":"Topic nope does not exist for project p"}`},
		{name: "stats", request: "GET /v2/topics/t/stats", status: 200, response: `{"messages":{"claimed":0,"free":1,"total":1}}`,
			action: "topic_get_stats", frame: `{"topic_name":"t"}`, replyStatus: 200,
			reply: `{"messages":{"claimed":0,"delayed":0,"free":1,"total":1}}`},
		{name: "purge", request: "POST /v2/topics/t/purge", status: 204, action: "topic_purge", frame: `{"topic_name":"t"}`, replyStatus: 204, reply: `{}`},
		{name: "no claims", request: "POST /v2/topics/t/claims", body: `{}`, status: 404, response: `{"title":"404 Not Found"}`},
		{name: "post", request: "POST /v2/topics/t/messages", body: `{"messages":[{"body":1}]}`, status: 201,
			response: `{"resources":["/v2/topics/t/messages/1-1"]}`, got: map[string]string{"Location": "/v2/topics/t/messages?ids=1-1"},
			action: "message_post", frame: `{"topic_name":"t","messages":[{"body":1}]}`, replyStatus: 201, reply: `{"message_ids":["1-2"]}`},
		{name: "delete", request: "DELETE /v2/topics/t", status: 204, action: "topic_delete", frame: `{"topic_name":"u"}`, replyStatus: 204, reply: `"Topic u removed."`},
		{name: "delete, again", request: "DELETE /v2/topics/t", status: 204},
	})
}

// TestQueueUpdate goes through the record of patches; what makes a patch good or bad is protocol's to test.
func TestQueueUpdate(t *testing.T) {
	t.Parallel()
	b := newQueueBackend()
	b.queues["q"] = protocol.Queue{Metadata: []byte(`{"colour":"red"}`)}
	patch := map[string]string{"Content-Type": patchType}
	stale := map[string]string{"Content-Type": patchType, "If-Match": `"stale"`}
	checkAll(t, b, []bothWays{
		{name: "patch", request: "PATCH /v2/queues/q", headers: patch, body: `[{"op":"replace","path":"/metadata/colour","value":"green"}]`, status: 200,
			response: `{"colour":"green",` + reservedRest,
			action:   "queue_update", frame: `{"queue_name":"q","patch":[{"op":"add","path":"/metadata/size","value":5}]}`, replyStatus: 200,
			reply: `{"colour":"green","size":5}`},
		{name: "conflict", request: "PATCH /v2/queues/q", headers: patch, body: `[{"op":"replace","path":"/metadata/nope","value":1}]`, status: 409,
			response: `{"title":"Resource conflict","description":"Can't replace non-existent object nope."}`,
			action:   "queue_update", frame: `{"queue_name":"q","patch":[{"op":"remove","path":"/metadata/nope"}]}`, replyStatus: 409,
			reply: `{"exception":"Can't remove non-existent object nope.","error":null}`},
		{name: "out of range", request: "PATCH /v2/queues/q", headers: patch, body: `[{"op":"add","path":"/metadata/_default_message_ttl","value":1}]`, status: 400,
			response: `{"title":"Invalid request body","description":"_default_message_ttl can not exceed 1209600 seconds, and must be at least 60 seconds long."}`,
			action:   "queue_update", frame: `{"queue_name":"q","patch":[{"op":"add","path":"/metadata/_default_message_ttl","value":1}]}`, replyStatus: 400,
			reply: `{"exception":"_default_message_ttl can not exceed 1209600 seconds, and must be at least 60 seconds long.","error":null}`},
		{name: "missing", request: "PATCH /v2/queues/missing", headers: patch, body: `[{"op":"add","path":"/metadata/a","value":1}]`, status: 404,
			response: `{"title":"Not found","description":"Queue missing does not exist for project p"}`,
			action:   "queue_update", frame: `{"queue_name":"missing","patch":[{"op":"add","path":"/metadata/a","value":1}]}`, replyStatus: 404,
			reply: `{"exception":"Queue missing does not exist for project p","error":null}`},
		{name: "changed meanwhile", request: "PATCH /v2/queues/q", headers: stale, body: `[{"op":"add","path":"/metadata/a","value":1}]`, status: 412,
			response: `{"title":"Precondition Failed","description":"The queue's metadata have changed."}`},
		{name: "nothing of it stayed", action: "queue_get", frame: `{"queue_name":"q"}`, replyStatus: 200, reply: `{"colour":"green","size":5}`},
	})
}
