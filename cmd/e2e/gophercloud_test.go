package e2e

import (
	"context"
	"net/http"
	"path"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/messaging/v2/claims"
	"github.com/gophercloud/gophercloud/v2/openstack/messaging/v2/messages"
	"github.com/gophercloud/gophercloud/v2/openstack/messaging/v2/queues"
	"github.com/gophercloud/gophercloud/v2/pagination"
)

// cloud is gophercloud's client as openstack.NewMessagingV2 makes it, without Keystone.
func cloud(t *testing.T, g *gateway) *gophercloud.ServiceClient {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &gophercloud.ServiceClient{
		ProviderClient: &gophercloud.ProviderClient{HTTPClient: http.Client{Transport: transport}},
		Endpoint:       g.http() + "/",
		MoreHeaders:    map[string]string{"Client-ID": uuid.NewString(), "X-Project-ID": t.Name()},
	}
}

// must returns what a call gave, which must not be an error.
func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestGophercloudQueues(t *testing.T) {
	t.Parallel()
	g := defaults(t)
	c, ctx := cloud(t, g), within(t)
	encrypt := false
	for _, name := range []string{"a", "b", "c"} {
		if err := queues.Create(ctx, c, queues.CreateOpts{
			QueueName: name, DefaultMessageTTL: 300, DefaultMessageDelay: 1, MaxClaimCount: 3, DeadLetterQueue: "dead",
			DeadLetterQueueMessagesTTL: 600, MaxMessagesPostSize: 1000, EnableEncryptMessages: &encrypt,
			Extra: map[string]any{"colour": "red"},
		}).ExtractErr(); err != nil {
			t.Fatal(err)
		}
	}
	names, pages := []string{}, 0
	err := queues.List(c, queues.ListOpts{Limit: 2, Detailed: true, WithCount: true}).EachPage(ctx, func(_ context.Context, page pagination.Page) (bool, error) {
		pages++
		if n, err := page.(queues.QueuePage).GetCount(); err != nil || n != 3 {
			t.Errorf("the count is %d, %v; want 3", n, err)
		}
		list, err := queues.ExtractQueues(page)
		for _, q := range list {
			names = append(names, q.Name)
			if q.Href != "/v2/queues/"+q.Name || q.Metadata.DefaultMessageTTL != 300 || q.Metadata.Extra["colour"] != "red" {
				t.Errorf("lists %+v", q)
			}
		}
		return true, err
	})
	if err != nil || pages != 2 || !reflect.DeepEqual(names, []string{"a", "b", "c"}) {
		t.Errorf("lists %q in %d pages, %v", names, pages, err)
	}
	details := must[queues.QueueDetails](t)(queues.Get(ctx, c, "a").Extract())
	if details.MaxClaimCount != 3 || details.DeadLetterQueue != "dead" || details.DeadLetterQueueMessageTTL != 600 ||
		details.MaxMessagesPostSize != 1000 || details.DefaultMessageDelay != 1 || details.EnableEncryptMessages {
		t.Errorf("got %+v", details)
	}
	details = must[queues.QueueDetails](t)(queues.Update(ctx, c, "a", queues.BatchUpdateOpts{
		{Op: queues.ReplaceOp, Path: "/metadata/_default_message_ttl", Value: 400},
		{Op: queues.AddOp, Path: "/metadata/size", Value: "large"},
		{Op: queues.RemoveOp, Path: "/metadata/colour", Value: "red"},
	}).Extract())
	if details.DefaultMessageTTL != 400 || details.Extra["size"] != "large" || details.Extra["colour"] != nil {
		t.Errorf("updated to %+v", details)
	}
	stats := must[queues.Stats](t)(queues.GetStats(ctx, c, "a").Extract())
	if stats != (queues.Stats{}) {
		t.Errorf("stats %+v of an empty queue", stats)
	}
	if err := queues.Delete(ctx, c, "a").ExtractErr(); err != nil {
		t.Fatal(err)
	}
}

// TestGophercloudShare uses a shared URL without any other right.
func TestGophercloudShare(t *testing.T) {
	t.Parallel()
	g := defaults(t)
	c, ctx := cloud(t, g), within(t)
	ids := postByCloud(ctx, t, c, "shared", 1)
	expires := time.Now().UTC().Add(time.Hour).Format("2006-01-02T15:04:05")
	share := must[queues.QueueShare](t)(queues.Share(ctx, c, "shared", queues.ShareOpts{
		Paths: []queues.SharePath{queues.PathMessages}, Methods: []queues.ShareMethod{queues.MethodGet}, Expires: expires,
	}).Extract())
	if share.Project != t.Name() || share.Expires != expires || !reflect.DeepEqual(share.Paths, []string{"/v2/queues/shared/messages"}) {
		t.Errorf("shares %+v", share)
	}
	other := cloud(t, g)
	for name, value := range map[string]string{
		"URL-Signature": share.Signature, "URL-Expires": share.Expires,
		"URL-Methods": strings.Join(share.Methods, ","), "URL-Paths": strings.Join(share.Paths, ","),
	} {
		other.MoreHeaders[name] = value
	}
	page := must[pagination.Page](t)(messages.List(other, "shared", messages.ListOpts{Echo: true}).AllPages(ctx))
	if list := must[[]messages.Message](t)(messages.ExtractMessages(page)); len(list) != 1 || list[0].ID != ids[0] {
		t.Errorf("lists %+v", list)
	}
	err := messages.Delete(ctx, other, "shared", ids[0], messages.DeleteOpts{}).ExtractErr()
	if !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		t.Errorf("a method that is not shared: %v", err)
	}
}

// postByCloud posts messages numbered from 0 and returns their ids.
func postByCloud(ctx context.Context, t *testing.T, c *gophercloud.ServiceClient, queue string, n int) (ids []string) {
	t.Helper()
	var batch messages.BatchCreateOpts
	for i := range n {
		batch = append(batch, messages.CreateOpts{TTL: 300, Body: map[string]any{"n": i}})
	}
	created := must[messages.ResourceList](t)(messages.Create(ctx, c, queue, batch).Extract())
	for _, href := range created.Resources {
		ids = append(ids, path.Base(href))
	}
	if len(ids) != n {
		t.Fatalf("posted %d messages: %q", n, created.Resources)
	}
	return ids
}

func TestGophercloudMessages(t *testing.T) {
	t.Parallel()
	g := defaults(t)
	c, ctx := cloud(t, g), within(t)
	ids := postByCloud(ctx, t, c, "q", 5)
	var listed []string
	err := messages.List(c, "q", messages.ListOpts{Limit: 2, Echo: true, IncludeClaimed: true, IncludeDelayed: true}).EachPage(ctx,
		func(_ context.Context, page pagination.Page) (bool, error) {
			list, err := messages.ExtractMessages(page)
			for i, m := range list {
				listed = append(listed, m.ID)
				if m.TTL != 300 || m.Href == "" || m.Body["n"] != float64(len(listed)-1) {
					t.Errorf("message %d of a page is %+v", i, m)
				}
			}
			return true, err
		})
	if err != nil || !reflect.DeepEqual(listed, ids) {
		t.Errorf("lists %q, %v; posted %q", listed, err, ids)
	}
	one := must[messages.Message](t)(messages.Get(ctx, c, "q", ids[0]).Extract())
	if one.ID != ids[0] || one.Body["n"] != 0.0 {
		t.Errorf("got %+v", one)
	}
	// gophercloud repeats the parameter: ids=…&ids=…
	two := must[[]messages.Message](t)(messages.GetMessages(ctx, c, "q", messages.GetMessagesOpts{IDs: ids[1:3]}).Extract())
	if len(two) != 2 || two[0].ID != ids[1] || two[1].ID != ids[2] {
		t.Errorf("got %+v", two)
	}
	if err := messages.Delete(ctx, c, "q", ids[0], messages.DeleteOpts{}).ExtractErr(); err != nil {
		t.Error(err)
	}
	if err := messages.DeleteMessages(ctx, c, "q", messages.DeleteMessagesOpts{IDs: ids[1:3]}).ExtractErr(); err != nil {
		t.Error(err)
	}
	popped := must[[]messages.PopMessage](t)(messages.PopMessages(ctx, c, "q", messages.PopMessagesOpts{Pop: 1}).Extract())
	if len(popped) != 1 || popped[0].ID != ids[3] || popped[0].TTL != 300 {
		t.Errorf("popped %+v, want %s", popped, ids[3])
	}
	if err := queues.Purge(ctx, c, "q", queues.PurgeOpts{ResourceTypes: []queues.PurgeResource{queues.ResourceMessages, queues.ResourceSubscriptions}}).ExtractErr(); err != nil {
		t.Error(err)
	}
	stats := must[queues.Stats](t)(queues.GetStats(ctx, c, "q").Extract())
	if stats.Total != 0 {
		t.Errorf("after a purge: %+v", stats)
	}
}

func TestGophercloudClaims(t *testing.T) {
	t.Parallel()
	g := defaults(t)
	c, ctx := cloud(t, g), within(t)
	nothing := claims.Create(ctx, c, "q", claims.CreateOpts{TTL: 60, Grace: 60, Limit: 5})
	if nothing.Err != nil || nothing.Header.Get("Location") != "" {
		t.Errorf("a claim of nothing: %+v", nothing)
	}
	ids := postByCloud(ctx, t, c, "q", 3)
	created := claims.Create(ctx, c, "q", claims.CreateOpts{TTL: 120, Grace: 60, Limit: 2})
	claimed := must[[]claims.Messages](t)(created.Extract())
	id := path.Base(created.Header.Get("Location"))
	if len(claimed) != 2 || claimed[0].Href != "/v2/queues/q/messages/"+ids[0]+"?claim_id="+id || claimed[0].TTL != 300 {
		t.Fatalf("claim %s holds %+v", id, claimed)
	}
	claim := must[*claims.Claim](t)(claims.Get(ctx, c, "q", id).Extract())
	if claim.TTL != 120 || claim.Href != "/v2/queues/q/claims/"+id || len(claim.Messages) != 2 {
		t.Errorf("got %+v", claim)
	}
	if err := claims.Update(ctx, c, "q", id, claims.UpdateOpts{TTL: 240, Grace: 90}).ExtractErr(); err != nil {
		t.Error(err)
	}
	if claim = must[*claims.Claim](t)(claims.Get(ctx, c, "q", id).Extract()); claim.TTL != 240 {
		t.Errorf("updated to %+v", claim)
	}
	if err := messages.Delete(ctx, c, "q", ids[0], messages.DeleteOpts{ClaimID: id}).ExtractErr(); err != nil {
		t.Error(err)
	}
	if err := claims.Delete(ctx, c, "q", id).ExtractErr(); err != nil {
		t.Error(err)
	}
	err := claims.Get(ctx, c, "q", id).Err
	if !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		t.Errorf("a claim that was released: %v", err)
	}
}
