package yamltree_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/spec/yamltree"
)

func TestPublicHasNoPlainSecrets(t *testing.T) {
	t.Parallel()
	documents, faults := yamltree.Parse([]byte(`
name: orders
rows: 10
on: true
none: null
password: hunter2
nested: {api_key: [hunter2, "${env:KEY}", 12]}
token: "${env:TOKEN}"
secret: "${env:NOPE:-hunter2}"
url: postgres://app:hunter2@db/shop
dsn: "${env:DSN}"
text: "host=db password=hunter2"
`), "p.yaml")
	if len(faults) > 0 || len(documents) != 1 {
		t.Fatal(faults)
	}
	text, err := json.Marshal(documents[0].Public())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"dsn":"${env:DSN}","name":"orders","nested":{"api_key":["[secret]","${env:KEY}","[secret]"]},"none":null,"on":true,` +
		`"password":"[secret]","rows":10,"secret":"[secret]","text":"host=db password=*******","token":"${env:TOKEN}","url":"postgres://app:*******@db/shop"}`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Error(diff)
	}
}
