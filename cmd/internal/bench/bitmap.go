package bench

// bitmap says which numbers were seen.
type bitmap struct{ words []uint64 }

func newBitmap(n int64) bitmap { return bitmap{make([]uint64, (max(n, 0)+63)/64)} }

// set notes a number; false if it was there already, or is out of range.
func (b *bitmap) set(n int64) bool {
	if n < 0 {
		return false
	}
	for n/64 >= int64(len(b.words)) {
		if n > 1<<36 {
			return false
		}
		b.words = append(b.words, 0)
	}
	word, bit := &b.words[n/64], uint64(1)<<(n%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}
