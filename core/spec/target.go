package spec

import "strings"

// Target is the dataset that a template such as landing.shop.{stream} gives for a value of its placeholder.
func Target(template, placeholder, value string) (Dataset, error) {
	return ParseDataset(strings.ReplaceAll(template, "{"+placeholder+"}", value))
}
