"""People in one instance: members, invitations, requests, support, as pages and as REST API."""
