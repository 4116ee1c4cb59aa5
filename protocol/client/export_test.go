package client

// Buffered returns the size of the pushes that wait to be taken.
func Buffered(c *Client) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buffered
}

// Stalled says whether the reader waits for pushes to be taken.
func Stalled(c *Client) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link != nil && c.link.stalled.Load()
}
