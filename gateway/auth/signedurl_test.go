package auth

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	testKey = []byte("secret key of tests")
	noon    = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	before  = noon.Add(-time.Second)
)

func testURL() URL {
	return URL{
		Paths:   []string{"/v2/queues/q/messages", "/v2/queues/q/claims"},
		Methods: []string{"POST", "GET"}, Project: "p1", Expires: noon,
	}
}

func present(s Signed) Presented {
	return Presented{
		Signature: s.Signature, Expires: FormatExpires(s.Expires), Project: s.Project,
		Paths: slices.Clone(s.Paths), Methods: slices.Clone(s.Methods),
	}
}

func mustSign(t testing.TB, u URL) Signed {
	t.Helper()
	s, err := Sign(testKey, u)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The signature is what Zaqar's create_signed_url makes of the same parts; it was computed with Python's hmac.
func TestSignatureIsZaqars(t *testing.T) {
	t.Parallel()
	s := mustSign(t, testURL())
	const want = "725c7af72d618aa46362d2521be2f068935d85cc64c46c0280007760128bfcb3"
	if s.Signature != want {
		t.Errorf("signature %s, want %s", s.Signature, want)
	}
	if !slices.IsSorted(s.Paths) || !slices.IsSorted(s.Methods) {
		t.Errorf("lists are not sorted: %v %v", s.Paths, s.Methods)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*Presented)
		now    time.Time
		want   error
	}{
		"as signed":             {func(*Presented) {}, before, nil},
		"lists in other order":  {func(p *Presented) { slices.Reverse(p.Paths); slices.Reverse(p.Methods) }, before, nil},
		"upper-case signature":  {func(p *Presented) { p.Signature = strings.ToUpper(p.Signature) }, before, nil},
		"the same time in CET":  {func(p *Presented) { p.Expires = "2026-01-31T13:00:00+01:00" }, before, nil},
		"the second it ends":    {func(*Presented) {}, noon, ErrExpired},
		"long after":            {func(*Presented) {}, noon.AddDate(1, 0, 0), ErrExpired},
		"later expiry":          {func(p *Presented) { p.Expires = "2026-01-31T12:00:01" }, before, ErrSignature},
		"other project":         {func(p *Presented) { p.Project = "p2" }, before, ErrSignature},
		"one more path":         {func(p *Presented) { p.Paths = append(p.Paths, "/v2/queues/other/messages") }, before, ErrSignature},
		"one path less":         {func(p *Presented) { p.Paths = p.Paths[:1] }, before, ErrSignature},
		"other queue":           {func(p *Presented) { p.Paths[0] = "/v2/queues/x/claims" }, before, ErrSignature},
		"one more method":       {func(p *Presented) { p.Methods = append(p.Methods, "DELETE") }, before, ErrSignature},
		"altered signature":     {func(p *Presented) { p.Signature = "0" + p.Signature[1:] }, before, ErrSignature},
		"other signature":       {func(p *Presented) { p.Signature = strings.Repeat("ab", 32) }, before, ErrSignature},
		"half a signature":      {func(p *Presented) { p.Signature = p.Signature[:32] }, before, ErrMalformed},
		"no signature":          {func(p *Presented) { p.Signature = "" }, before, ErrMalformed},
		"no hexadecimal":        {func(p *Presented) { p.Signature = strings.Repeat("xy", 32) }, before, ErrMalformed},
		"no expiry":             {func(p *Presented) { p.Expires = "" }, before, ErrMalformed},
		"expiry as a number":    {func(p *Presented) { p.Expires = "1769860800" }, before, ErrMalformed},
		"expiry is no time":     {func(p *Presented) { p.Expires = "tomorrow" }, before, ErrMalformed},
		"no project":            {func(p *Presented) { p.Project = "" }, before, ErrMalformed},
		"no paths":              {func(p *Presented) { p.Paths = nil }, before, ErrMalformed},
		"empty path":            {func(p *Presented) { p.Paths = []string{""} }, before, ErrMalformed},
		"no methods":            {func(p *Presented) { p.Methods = nil }, before, ErrMalformed},
		"methods in one string": {func(p *Presented) { p.Methods = []string{"GET,POST"} }, before, ErrMalformed},
		"separator in a method": {func(p *Presented) { p.Methods = []string{`GET\nx`} }, before, ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := present(mustSign(t, testURL()))
			if p.Signature[0] == '0' {
				t.Fatal("choose another key: the altered signature is the same")
			}
			test.change(&p)
			if _, err := Verify(testKey, p, test.now); !errors.Is(err, test.want) {
				t.Errorf("Verify: %v, want %v", err, test.want)
			}
		})
	}
	if _, err := Verify([]byte("another key"), present(mustSign(t, testURL())), before); !errors.Is(err, ErrSignature) {
		t.Errorf("another key: %v", err)
	}
}

// A signed text can be read in one way only: what could shift a separator is not signed at all.
func TestAmbiguousPartsAreNotSigned(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*URL){
		"project":     func(u *URL) { u.Project = `GET\nvictim` },
		"no project":  func(u *URL) { u.Project = "" },
		"path":        func(u *URL) { u.Paths = []string{`/v2/queues/q/messages\nGET`} },
		"comma":       func(u *URL) { u.Paths = []string{"/v2/queues/q/messages,/v2/queues/x/messages"} },
		"no slash":    func(u *URL) { u.Paths = []string{"messages"} },
		"method":      func(u *URL) { u.Methods = []string{`GET\nvictim`} },
		"empty":       func(u *URL) { u.Methods = []string{""} },
		"no methods":  func(u *URL) { u.Methods = nil },
		"long method": func(u *URL) { u.Methods = []string{strings.Repeat("G", 33)} },
	} {
		u := testURL()
		change(&u)
		if s, err := Sign(testKey, u); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: signed as %v, %v", name, s, err)
		}
	}
}

func TestAllows(t *testing.T) {
	t.Parallel()
	u := URL{Methods: []string{"GET", "PUT"}, Paths: []string{
		"/v2/queues/q.a/messages", "/v2/queues/q.a/subscriptions",
	}}
	for _, test := range []struct {
		method, path string
		want         bool
	}{
		{"GET", "/v2/queues/q.a/messages", true},
		{"GET", "/v2/queues/q.a/messages/123", true},
		{"GET", "/v2/queues/q.a/messages/stream", true},
		{"GET", "/v2/queues/q.a/subscriptions/123", true},
		{"PUT", "/v2/queues/q.a/subscriptions/123/confirm", true},
		{"POST", "/v2/queues/q.a/messages", false},
		{"get", "/v2/queues/q.a/messages", false},
		{"", "/v2/queues/q.a/messages", false},
		{"GET", "/v2/queues/qxa/messages", false},
		{"GET", "/v2/queues/other/messages", false},
		{"GET", "/v2/queues/q.a", false},
		{"GET", "/v2/queues/q.a/claims", false},
		{"GET", "/v2/queues/q.a/messagesX", false},
		{"GET", "/v2/queues/q.a/messages/", false},
		{"GET", "/v2/queues/q.a/messages/..", false},
		{"GET", "/v2/queues/q.a/messages/../claims", false},
		{"GET", "/x/v2/queues/q.a/messages", false},
		{"GET", "/v2/queues/q.a/subscriptions/123/secret", false},
		{"GET", "/v2/queues/q.a/subscriptions/123/confirm/x", false},
		{"GET", "/v2/queues/q.a%2Fmessages", false},
	} {
		if got := u.Allows(test.method, test.path); got != test.want {
			t.Errorf("%s %s: %v", test.method, test.path, got)
		}
	}
	exact := URL{Methods: []string{"PUT"}, Paths: []string{"/v2/queues/q/subscriptions/1/confirm"}}
	if !exact.Allows("PUT", exact.Paths[0]) || exact.Allows("PUT", "/v2/queues/q/subscriptions/2/confirm") ||
		exact.Allows("PUT", "/v2/queues/q/subscriptions/1") {
		t.Error("a confirmation's URL is good for more than that, or not even for that")
	}
}

// What was signed verifies and comes back as it was; every other reading of the same bytes is refused.
func FuzzSign(f *testing.F) {
	f.Add("/v2/queues/q/messages", "GET", "p1", int64(0))
	f.Add("/a,/b", `GET\np`, `x\nGET`, int64(-5))
	f.Fuzz(func(t *testing.T, path, method, project string, seconds int64) {
		u := URL{Paths: []string{path}, Methods: []string{method}, Project: project, Expires: noon.Add(time.Duration(seconds%1e9) * time.Second)}
		s, err := Sign(testKey, u)
		if err != nil {
			return
		}
		got, err := Verify(testKey, present(s), u.Expires.Add(-time.Second))
		if err != nil {
			t.Fatalf("%+v does not verify: %v", s, err)
		}
		if got.Project != project || got.Paths[0] != path || got.Methods[0] != method || !got.Expires.Equal(u.Expires) {
			t.Errorf("%+v became %+v", u, got)
		}
		if !got.Allows(method, path) {
			t.Errorf("%+v does not allow what it names", got)
		}
	})
}

// No text that a stranger presents verifies, and none is taken for more than it says.
func FuzzVerify(f *testing.F) {
	s := mustSign(f, testURL())
	f.Add(s.Signature, "2026-01-31T12:00:00", "p1", strings.Join(s.Paths, ","), strings.Join(s.Methods, ","))
	f.Add(hex.EncodeToString(make([]byte, 32)), "2026-01-31 12:00Z", `p\n`, "/", "GET")
	f.Fuzz(func(t *testing.T, signature, expires, project, paths, methods string) {
		p := Presented{
			Signature: signature, Expires: expires, Project: project,
			Paths: strings.Split(paths, ","), Methods: strings.Split(methods, ","),
		}
		u, err := Verify(testKey, p, before)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrSignature) && !errors.Is(err, ErrExpired) {
				t.Errorf("an error of no kind: %v", err)
			}
			return
		}
		if want := testURL(); u.Project != want.Project || !slices.Equal(u.Paths, sorted(want.Paths)) ||
			!slices.Equal(u.Methods, sorted(want.Methods)) || !u.Expires.Equal(want.Expires) {
			t.Errorf("%+v was never signed", u)
		}
	})
}
