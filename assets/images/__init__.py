"""Images become features and a classifier: images -> patches, filters -> gram -> classifier -> predictions."""
