module example.com/post/tracking

go 1.26
