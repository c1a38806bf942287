"""Published course versions as they stand in topic `courses`: the first record of a version wins, for ever."""

from __future__ import annotations

from schemas.codec import decode_course
from schemas.course import Course
from schemas.interaction import LogRecord


class CourseShelf:
    """Course versions by (tenant, course, version), and the newest of each course."""

    def __init__(self) -> None:
        self._versions: dict[tuple[str, str, str], Course] = {}
        self._newest: dict[tuple[str, str], Course] = {}
        self._segments: dict[tuple[str, str], set[str]] = {}

    def add(self, record: LogRecord) -> None:
        """Take a record of topic `courses`."""
        tenant = record.key.decode().split("/", 1)[0]
        course = decode_course(record.value)
        if (tenant, course.id, course.version) not in self._versions:
            self._versions[tenant, course.id, course.version] = self._newest[tenant, course.id] = course
            self._segments.setdefault((tenant, course.id), set()).update(course.by_id)

    def version(self, tenant: str, course: str, version: str) -> Course | None:
        """A published version."""
        return self._versions.get((tenant, course, version))

    def newest(self, tenant: str, course: str) -> Course | None:
        """The version published last."""
        return self._newest.get((tenant, course))

    def versions(self, tenant: str, course: str) -> dict[str, Course]:
        """All published versions of a course."""
        return {each.version: each for (owner, name, _), each in self._versions.items() if (owner, name) == (tenant, course)}

    def has_segment(self, tenant: str, course: str, segment: str) -> bool:
        """Whether any version of a course has a segment: somebody may still be in one that the newest has no more."""
        return segment in self._segments.get((tenant, course), ())

    def all(self, tenant: str) -> list[Course]:
        """The newest version of each of a tenant's courses."""
        return [course for (owner, _), course in self._newest.items() if owner == tenant]
