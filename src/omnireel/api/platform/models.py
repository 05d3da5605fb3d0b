"""The shapes of the platform API."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from omnireel.api.fal.input import ENDPOINT_ID
from omnireel.api.fal.prices import UNIT
from omnireel.api.http.wire_model import WireModel
from omnireel.api.platform.paging import MAX_LIMIT
from omnireel.store.usage import Order, Status, Timeframe

MAX_QUANTITY = 1e9
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Quantity = Annotated[float, Field(gt=0, le=MAX_QUANTITY)]


class PlatformErrorDetail(WireModel):
    """What went wrong."""

    type: str = Field(description="A name for programs.")
    message: str
    docs_url: str
    request_id: str


class PlatformError(WireModel):
    """Every error of the platform API."""

    error: PlatformErrorDetail


class Page(WireModel):
    """One page of a list."""

    next_cursor: str | None = Field(description="The cursor of the next page; null on the last one.")
    has_more: bool


class Model(WireModel):
    """An endpoint that this server has."""

    endpoint_id: str
    metadata: dict[str, Any]
    openapi: dict[str, Any] | None = Field(default=None, description="Only with expand=openapi-3.0.")


class Models(Page):
    """Endpoints of this server."""

    models: list[Model]


class Price(WireModel):
    """What one unit of an endpoint costs."""

    endpoint_id: str
    unit_price: float
    unit: str
    currency: str


class Prices(Page):
    """Prices of endpoints."""

    prices: list[Price]


class UnitQuantity(WireModel):
    """A number of units."""

    unit_quantity: Quantity = Field(description=f"The number of units; a unit is {UNIT}.")


class CallQuantity(WireModel):
    """A number of calls."""

    call_quantity: Quantity = Field(
        description="The number of calls, each at the mean price of the calls before."
    )


class UnitQuantities(WireModel):
    """A number of units of each endpoint."""

    model_config = ConfigDict(extra="forbid")

    endpoint: UnitQuantity = Field(validation_alias=ENDPOINT_ID)


class CallQuantities(WireModel):
    """A number of calls of each endpoint."""

    model_config = ConfigDict(extra="forbid")

    endpoint: CallQuantity = Field(validation_alias=ENDPOINT_ID)


class UnitPriceQuestion(WireModel):
    """The cost of a number of units."""

    estimate_type: Literal["unit_price"]
    endpoints: UnitQuantities


class HistoricalPriceQuestion(WireModel):
    """The cost of a number of calls, at the mean price of the calls before."""

    estimate_type: Literal["historical_api_price"]
    endpoints: CallQuantities


PriceQuestion = UnitPriceQuestion | HistoricalPriceQuestion


class PriceEstimate(WireModel):
    """An estimated price."""

    estimate_type: str
    total_cost: float
    currency: str


class Cost(WireModel):
    """What was charged."""

    unit_price: float
    percent_discount: float
    cost_subtotal: float
    cost_discount: float
    cost_total: float
    currency: str


class UsedEndpoint(Cost):
    """What was used of an endpoint in a period."""

    endpoint_id: str
    unit: str
    quantity: float = Field(description="Units.")


class UsageBucket(WireModel):
    """What was used in one timeframe."""

    bucket: Moment = Field(description="When the timeframe began.")
    results: list[UsedEndpoint]


class Usage(Page):
    """What was used."""

    time_series: list[UsageBucket] | None = Field(
        default=None, description="Unless expand asks for the summary alone."
    )
    summary: list[UsedEndpoint] | None = Field(default=None, description="Only with expand=summary.")


class BillingEvent(Cost):
    """One charge."""

    request_id: str
    endpoint_id: str
    timestamp: Moment
    output_units: float
    cost_estimate_nano_usd: int


class BillingEvents(Page):
    """Charges, newest first."""

    billing_events: list[BillingEvent]


class EndedRequest(WireModel):
    """A job that has ended."""

    request_id: str
    endpoint_id: str
    started_at: Moment
    sent_at: Moment
    ended_at: Moment
    status_code: int
    duration: float = Field(description="Seconds from the start of the last attempt to the end.")


class EndedRequestWithPayloads(EndedRequest):
    """A job that has ended, with what was sent and answered."""

    json_input: Mapping[str, Any] | None = Field(description="Null if it was deleted.")
    json_output: Mapping[str, Any] | None = Field(description="Null if it was deleted.")


class EndedRequests(Page):
    """Jobs that have ended."""

    items: list[EndedRequestWithPayloads | EndedRequest]


class DeletedPayloads(WireModel):
    """Input and output of a job were deleted."""

    request_id: str
    deleted: bool


class Meta(WireModel):
    """Facts about the service."""

    webhook_ip_ranges: list[str]


class PagingQuery(WireModel):
    """Parameters of every list."""

    limit: int | None = Field(
        default=None, ge=1, le=MAX_LIMIT, description="Maximum number of items of a page."
    )
    cursor: str | None = Field(default=None, description="The next_cursor of the page before.")


class PeriodQuery(WireModel):
    """A period of time."""

    start: Moment | None = Field(
        default=None, description="From this moment on. The default is a day before the end."
    )
    end: Moment | None = Field(default=None, description="Up to this moment. The default is now.")


class ModelsQuery(PagingQuery):
    """Filters of endpoints."""

    endpoint_id: list[str] | None = Field(default=None, description="Only these.")
    q: str | None = Field(default=None, description="Words of the description.")
    category: str | None = None
    status: Literal["active", "deprecated"] | None = None
    expand: list[str] | None = Field(default=None, description="openapi-3.0: with this document.")


# An empty value counts as none.
_OurEndpoint = Annotated[str, Field(json_schema_extra={"enum": [ENDPOINT_ID, ""]})]


class PricingQuery(WireModel):
    """Filters of prices."""

    endpoint_id: list[_OurEndpoint] | None = None


class UsageQuery(PeriodQuery):
    """What to sum up."""

    endpoint_id: list[str] | None = Field(default=None, description="Only these endpoints.")
    timeframe: Timeframe | None = Field(
        default=None, description="The length of a bucket. The default is a day."
    )
    timezone: Literal["UTC"] | None = None
    bound_to_timeframe: Literal["false"] | None = Field(
        default=None, description="The period is not widened."
    )
    expand: list[str] | None = Field(
        default=None, description="time_series: sums of each timeframe; summary: of the whole period."
    )


class BillingEventsQuery(PagingQuery, PeriodQuery):
    """Which charges."""


class EndedRequestsQuery(PagingQuery, PeriodQuery):
    """Which jobs."""

    endpoint_id: list[str] | None = Field(default=None, description="Only these endpoints.")
    status: Status | None = None
    request_id: str | None = None
    sort_by: Order | None = None
    expand: list[str] | None = Field(default=None, description="payloads: with input and output.")


class EndedRequestPath(WireModel):
    """The part of a path that names a job."""

    request_id: str = Field(min_length=1, description="Of a job that has ended.")
