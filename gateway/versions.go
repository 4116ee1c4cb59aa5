package gateway

import (
	"net/http"

	"github.com/nusku-messaging/nusku/protocol"
)

// apiVersion is a version of the interface as the root tells of it.
type apiVersion struct{ id, status, updated, media, path string }

// apiVersions are those that Zaqar's clients look for. The older ones are named, as Zaqar does, and no longer served.
var apiVersions = []apiVersion{
	{"1", "DEPRECATED", "2014-9-11T17:47:05Z", "application/vnd.openstack.messaging-v1+json", "/v1/"},
	{"1.1", "DEPRECATED", "2016-7-29T02:22:47Z", "application/vnd.openstack.messaging-v1_1+json", "/v1.1/"},
	{"2", "CURRENT", "2014-9-24T04:06:47Z", "application/vnd.openstack.messaging-v2+json", "/v2/"},
}

// versions answers with the document of versions.
func (x *exchange) versions() {
	x.json(http.StatusMultipleChoices, func(w *protocol.Writer) {
		w.BeginMap(1)
		w.Key("versions")
		w.BeginArray(len(apiVersions))
		for i := range apiVersions {
			apiVersions[i].write(w)
		}
		w.EndArray()
		w.EndMap()
	})
}

func (v *apiVersion) write(w *protocol.Writer) {
	w.BeginMap(5)
	w.Key("id")
	w.String(v.id)
	w.Key("status")
	w.String(v.status)
	w.Key("updated")
	w.String(v.updated)
	w.Key("media-types")
	w.BeginArray(1)
	w.BeginMap(2)
	w.Key("base")
	w.String("application/json")
	w.Key("type")
	w.String(v.media)
	w.EndMap()
	w.EndArray()
	w.Key("links")
	w.BeginArray(1)
	w.BeginMap(2)
	w.Key("href")
	w.String(v.path)
	w.Key("rel")
	w.String("self")
	w.EndMap()
	w.EndArray()
	w.EndMap()
}
