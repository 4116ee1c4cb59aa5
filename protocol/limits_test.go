package protocol

import (
	"reflect"
	"strings"
	"testing"
)

func TestDefaultLimits(t *testing.T) {
	t.Parallel()
	if err := DefaultLimits().Check(); err != nil {
		t.Error(err)
	}
}

// TestLimitsCheck breaks every number in turn, so that none is left unchecked.
func TestLimitsCheck(t *testing.T) {
	t.Parallel()
	fields := reflect.TypeFor[Limits]()
	for i := range fields.NumField() {
		name := fields.Field(i).Name
		for _, v := range []int64{-1, 1<<31 - 1} {
			lim := DefaultLimits()
			field := reflect.ValueOf(&lim).Elem().Field(i)
			if !field.CanInt() {
				continue
			}
			field.SetInt(v)
			err := lim.Check()
			seconds := strings.Contains(name, "TTL") || strings.Contains(name, "Grace") || strings.Contains(name, "Delay")
			if v > 0 && seconds && (strings.HasPrefix(name, "Max") || strings.HasSuffix(name, "SubscriptionTTL")) {
				continue // as many seconds as the type holds may be fine
			}
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s = %d: %v", name, v, err)
			}
		}
	}
	lim := DefaultLimits()
	lim.SubscriberSchemes = nil
	if lim.Check() == nil {
		t.Error("no subscriber schemes")
	}
	lim = DefaultLimits()
	lim.MaxFrameBytes = lim.MaxPostBytes - 1
	if lim.Check() == nil {
		t.Error("a frame smaller than a post")
	}
}

// TestMessageDeleteWithClaimID is about the one limit that is a switch.
func TestMessageDeleteWithClaimID(t *testing.T) {
	t.Parallel()
	lim := DefaultLimits()
	lim.MessageDeleteWithClaimID = true
	for body, refused := range map[string]bool{
		`"message_ids":["a"]`: true, `"message_ids":["a"],"claim_ids":["c"]`: false, `"pop":1`: false, `"pop":1,"claim_ids":["c"]`: true,
	} {
		var req Request
		err := Decode([]byte(`{"action":"message_delete_many","body":{"queue_name":"q",`+body+`},`+testHeaders+`}`), JSON, Defaults{}, &lim, &req)
		if (err == errNoClaimIDs) != refused {
			t.Errorf("%s: %v", body, err)
		}
	}
}
