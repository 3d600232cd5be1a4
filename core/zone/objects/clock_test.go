package objects

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMetadataFromTheFutureIsReadAsOfNow(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_000_000_000_000)
	const text = `{"format-version":2,"last-updated-ms":1000003600000,"snapshots":[{"snapshot-id":9007199254740993,"timestamp-ms":1000003600000}],
		"snapshot-log":[{"snapshot-id":9007199254740992,"timestamp-ms":999999999000},{"snapshot-id":9007199254740993,"timestamp-ms":1000003600000}],
		"metadata-log":[{"metadata-file":"s3://b/m","timestamp-ms":1000003500000}]}`
	const want = `{"format-version":2,"last-updated-ms":1000000000000,"snapshots":[{"snapshot-id":9007199254740993,"timestamp-ms":1000003600000}],
		"snapshot-log":[{"snapshot-id":9007199254740992,"timestamp-ms":999999999000},{"snapshot-id":9007199254740993,"timestamp-ms":1000000000000}],
		"metadata-log":[{"metadata-file":"s3://b/m","timestamp-ms":1000000000000}]}`
	packed, err := pack([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"plain": []byte(text), "packed": packed} {
		got, err := current("s3://b/t/metadata/1.metadata.json", data, now)
		if err != nil {
			t.Fatal(err)
		}
		if name == "packed" {
			if got, err = unpack(got); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(decode(t, want), decode(t, string(got))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func decode(t *testing.T, text string) any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestOtherObjectsAreReadAsTheyAre(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_000_000_000_000)
	for name, text := range map[string]string{
		"s3://b/t/metadata/1.metadata.json": `{"last-updated-ms":1000000000000}`,
		"s3://b/t/metadata/2.metadata.json": `not json`,
		"s3://b/t/data/x.parquet":           `{"last-updated-ms":2000000000000}`,
	} {
		if got, err := current(name, []byte(text), now); err != nil || string(got) != text {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
