package client

import "context"

// Authenticate gives the session a token for everything that follows, also on later connections.
func (c *Client) Authenticate(ctx context.Context, token string) error {
	headers, err := encode(map[string]string{
		"X-Auth-Token": token, "X-Project-ID": c.opts.Project, "Client-ID": c.ClientID(),
	})
	if err != nil {
		return err
	}
	r := request{action: "authenticate", headers: headers}
	p, err := c.start(ctx, r, func(*Reply) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.authenticate = r
	})
	if err != nil {
		return err
	}
	_, err = p.Wait(ctx)
	return err
}
