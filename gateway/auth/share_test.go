package auth

import (
	"slices"
	"testing"
	"time"
)

func pointer(text string) *string { return &text }

func TestShare(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		request ShareRequest
		want    URL
		fault   string
	}{
		"defaults": {want: URL{Paths: []string{"/v2/queues/q/messages"}, Methods: []string{"GET"}, Expires: noon.AddDate(0, 0, 1)}},
		"all": {
			request: ShareRequest{Paths: []string{"subscriptions", "messages", "claims"}, Methods: []string{"POST", "DELETE"}, Expires: pointer("2026-02-01T00:30:00.75+01:00")},
			want: URL{
				Paths:   []string{"/v2/queues/q/claims", "/v2/queues/q/messages", "/v2/queues/q/subscriptions"},
				Methods: []string{"DELETE", "POST"}, Expires: time.Date(2026, 1, 31, 23, 30, 0, 0, time.UTC),
			},
		},
		"HEAD":            {request: ShareRequest{Methods: []string{"HEAD"}}, want: URL{Paths: []string{"/v2/queues/q/messages"}, Methods: []string{"HEAD"}, Expires: noon.AddDate(0, 0, 1)}},
		"bad path":        {request: ShareRequest{Paths: []string{"nope"}}, fault: "Invalid paths: {'nope'}"},
		"bad paths":       {request: ShareRequest{Paths: []string{"messages", "y", "x", "y"}}, fault: "Invalid paths: {'x', 'y'}"},
		"path traversal":  {request: ShareRequest{Paths: []string{"../x/messages"}}, fault: "Invalid paths: {'../x/messages'}"},
		"bad method":      {request: ShareRequest{Methods: []string{"G T"}}, fault: "`methods` should be a list of HTTP methods, and 'G T' is none"},
		"too many":        {request: ShareRequest{Methods: slices.Repeat([]string{"GET"}, 17)}, fault: "`paths` and `methods` may have 16 elements at most"},
		"a number":        {request: ShareRequest{Expires: pointer("3600")}, fault: "`expires` should be date format, for example 2016-01-01T00:00:00, not integer value: 3600"},
		"no date":         {request: ShareRequest{Expires: pointer("wrong date format")}, fault: "Unable to parse date string 'wrong date format'"},
		"past":            {request: ShareRequest{Expires: pointer("2026-01-31T12:00:00")}, fault: "`expires` is lower than the current time"},
		"past in its own": {request: ShareRequest{Expires: pointer("2026-01-31T13:00:00+02:00")}, fault: "`expires` is lower than the current time"},
	} {
		s, err := Share(testKey, "/v2/queues/q", "p1", test.request, noon)
		if test.fault != "" {
			if err == nil || err.Error() != test.fault {
				t.Errorf("%s: %v, want %s", name, err, test.fault)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.Equal(s.Paths, test.want.Paths) || !slices.Equal(s.Methods, test.want.Methods) || !s.Expires.Equal(test.want.Expires) {
			t.Errorf("%s: %+v", name, s)
		}
		if _, err := Verify(testKey, present(s), noon); err != nil {
			t.Errorf("%s does not verify: %v", name, err)
		}
	}
}

func TestProjectThatCannotBeSignedFor(t *testing.T) {
	t.Parallel()
	if s, err := Share(testKey, "/v2/queues/q", `GET\nvictim`, ShareRequest{}, noon); err == nil {
		t.Errorf("shared: %+v", s)
	}
}

func FuzzParseExpires(f *testing.F) {
	for _, text := range []string{"2026-01-31T12:00:00", "2026-01-31 12:00Z", "2026-01-31", "2026-01-31T12:00:00.5+0100", "3600", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := ParseExpires(text)
		if err != nil {
			return
		}
		again, err := ParseExpires(FormatExpires(at))
		if at.Year() >= 0 && at.Year() <= 9999 && (err != nil || !again.Equal(at)) {
			t.Errorf("%q is %v, then %v (%v)", text, at, again, err)
		}
	})
}
