package store

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestClaimIDRoundTrip(t *testing.T) {
	t.Parallel()
	signer := newClaimSigner([]byte("key"))
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64()
		ref := claimRef{queueID: n.Draw(t, "queue"), batch: n.Draw(t, "batch"), first: n.Draw(t, "first"), last: n.Draw(t, "last")}
		got, err := signer.parse(signer.text(ref))
		if err != nil || got != ref {
			t.Fatalf("got %+v, %v, want %+v", got, err, ref)
		}
	})
}

func TestClaimIDForged(t *testing.T) {
	t.Parallel()
	signer := newClaimSigner([]byte("key"))
	ref := claimRef{queueID: 7, batch: 99 << claimBatchBits, first: 3, last: 5}
	id := signer.text(ref)
	for i := range len(id) {
		for _, c := range []byte("AB-_z\n= ") {
			forged := []byte(id)
			if forged[i] == c {
				continue
			}
			forged[i] = c
			if got, err := signer.parse(string(forged)); err == nil {
				t.Errorf("%q is taken for %+v", forged, got)
			}
		}
	}
	for name, text := range map[string]string{
		"empty": "", "cut": id[:len(id)-1], "longer": id + "A", "padded": id + "==", "newline": id[:len(id)-1] + "\n",
		"other key": newClaimSigner([]byte("other")).text(ref),
	} {
		if _, err := signer.parse(text); err == nil {
			t.Errorf("%s: %q is taken for a claim id", name, text)
		}
	}
}

func FuzzClaimID(f *testing.F) {
	signer := newClaimSigner([]byte("key"))
	id := signer.text(claimRef{1, 1 << claimBatchBits, 1, 20})
	f.Add(id)
	f.Add("nope")
	f.Add(string(bytes.Repeat([]byte("A"), claimIDLength)))
	f.Fuzz(func(t *testing.T, text string) {
		ref, err := signer.parse(text)
		if err != nil {
			return
		}
		// Only what text has written is an id, and it has one spelling.
		if again := signer.text(ref); again != text {
			t.Fatalf("%q and %q are both the id of %+v", text, again, ref)
		}
	})
}
