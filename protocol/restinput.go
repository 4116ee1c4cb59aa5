package protocol

import "net/url"

// RESTInput is an HTTP request as far as it says what is asked for. DecodeREST makes a Request of it.
type RESTInput struct {
	// ClientID, ProjectID and Roles are the headers Client-ID, X-Project-ID and X-Roles.
	ClientID, ProjectID, Roles string
	// HasClientID and HasProjectID say that the headers were sent, empty ones too.
	HasClientID, HasProjectID bool
	// Signature is what the headers URL-Signature, URL-Expires, URL-Methods and URL-Paths say.
	Signature Signature
	// Path has the values of the path's variables, unescaped.
	Path PathValues
	// Query has the parameters, unescaped.
	Query url.Values
	// ContentType is that header.
	ContentType string
	// Body is the whole body; empty for none. The Request points into it.
	Body []byte
}

// PathValues are the values of a path's variables; "" for those that the path does not have.
type PathValues struct {
	QueueName, TopicName string
	MessageID            string
	ClaimID              string
	SubscriptionID       string
	PoolName             string
	FlavorName           string
}
